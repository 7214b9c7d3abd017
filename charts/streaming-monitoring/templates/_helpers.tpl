{{- define "streaming-monitoring.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/*
Base name of our objects: the release's name, with the chart's name unless it is in there already. Names of Services
begin with a letter and hold no dot, while the release's may. At most 39 characters: with "-data-monitor" that is 52, and
a StatefulSet's pods get a label of its name and 11 characters more.
*/}}
{{- define "streaming-monitoring.fullname" -}}
{{- $name := include "streaming-monitoring.name" . -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- $full = replace "." "-" $full -}}
{{- if not (regexMatch "^[a-z]" $full) -}}{{- $full = printf "sm-%s" $full -}}{{- end -}}
{{- regexReplaceAll "-+$" (trunc 39 $full) "" -}}
{{- end -}}

{{/* What a Service or Deployment selects by. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "streaming-monitoring.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 | quote }}
{{- end -}}

{{/*
Labels of every object: what the user wants, but for those that Helm and our selectors need. Call with
(list $ "component"), or (list $ "component" MORE) with labels over the user's.
*/}}
{{- define "streaming-monitoring.labels" -}}
{{- $root := index . 0 -}}
{{- $labels := dict
      "app.kubernetes.io/part-of" "streaming-monitoring"
      "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $fixed := dict
      "app.kubernetes.io/managed-by" $root.Release.Service
      "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $more := dict -}}
{{- if gt (len .) 2 -}}{{- $more = index . 2 -}}{{- end -}}
{{- toYaml (mergeOverwrite $labels (deepCopy $root.Values.commonLabels) (deepCopy $more) $fixed (include "streaming-monitoring.selectorLabels" . | fromYaml)) -}}
{{- end -}}

{{/*
Labels of pods, and of objects whose operator copies them to pods: nothing that changes with a version of the chart, which
would restart them. Call with (list $ "component"), or (list $ "component" MORE).
*/}}
{{- define "streaming-monitoring.podLabels" -}}
{{- $labels := dict "app.kubernetes.io/part-of" "streaming-monitoring" -}}
{{- if gt (len .) 2 -}}{{- $labels = mergeOverwrite $labels (deepCopy (index . 2)) -}}{{- end -}}
{{- toYaml (mergeOverwrite $labels (include "streaming-monitoring.selectorLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Labels of monitors and rules, which a Prometheus selects by: kube-prometheus-stack's by the release, unless it is told
to take all. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.monitoringLabels" -}}
{{- $root := index . 0 -}}
{{- $release := ternary (dict "release" $root.Release.Name) dict (eq (include "streaming-monitoring.dependency" (list $root "kube-prometheus-stack")) "true") -}}
{{- include "streaming-monitoring.labels" (list $root (index . 1) (mergeOverwrite $release (deepCopy $root.Values.prometheus.selectorLabels))) -}}
{{- end -}}

{{/* One of our images; one that was loaded into the nodes has another digest than the released one. Call with (list $ .Values.x.image). */}}
{{- define "streaming-monitoring.image" -}}
{{- $root := index . 0 -}}
{{- $local := $root.Values.image.local -}}
{{- $registry := coalesce $root.Values.image.registry $root.Values.global.imageRegistry (ternary "" $root.Values.image.released $local) "" -}}
{{- if not (or $registry $local) -}}
{{- fail "image.registry is needed: the registry that our images were pushed to (such as registry.example.com/team); or image.local=true where they were loaded into the nodes, as on kind and minikube" -}}
{{- end -}}
{{- $image := ternary (omit (index . 1) "digest") (index . 1) $local -}}
{{- include "streaming-monitoring.imageReference" (list $registry $image $root.Chart.AppVersion) -}}
{{- end -}}

{{/* registry/repository:tag, or with a digest. Call with (list REGISTRY IMAGE TAG). */}}
{{- define "streaming-monitoring.imageReference" -}}
{{- $image := index . 1 -}}
{{- with index . 0 -}}{{ trimSuffix "/" . }}/{{- end -}}
{{ $image.repository }}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ $image.tag | default (index . 2) }}{{- end -}}
{{- end -}}

{{/* An image that is on the nodes only is never pulled: nobody knows who owns its name elsewhere. Call with (list $ .Values.x.image). */}}
{{- define "streaming-monitoring.pullPolicy" -}}
{{- ternary "Never" (index . 1).pullPolicy (index . 0).Values.image.local -}}
{{- end -}}

{{- define "streaming-monitoring.pullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.image.pullSecrets (.Values.global.imagePullSecrets | default list) -}}{{- $names = append $names (get (ternary . (dict "name" .) (kindIs "map" .)) "name") -}}{{- end -}}
{{- with uniq $names }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The "restricted" Pod Security Standard. Call with (dict "root" $ "user" 65532 "fsGroup" true). */}}
{{- define "streaming-monitoring.podSecurityContext" -}}
{{- $mode := .root.Values.securityContext -}}
{{- if ne $mode "none" -}}
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  {{- if eq $mode "restricted" }}
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  {{- if .fsGroup }}
  fsGroup: {{ .user }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* Call with (dict "root" $), and "writable" true where the program writes beside its volumes. */}}
{{- define "streaming-monitoring.containerSecurityContext" -}}
{{- if ne .root.Values.securityContext "none" -}}
securityContext:
  allowPrivilegeEscalation: false
  {{- if not .writable }}
  readOnlyRootFilesystem: true
  {{- end }}
  capabilities: {drop: [ALL]}
{{- end -}}
{{- end -}}

{{/*
What every pod of ours has, without containers and volumes. Call with (dict "root" $ "component" NAME "settings"
.Values.x "user" 65532), and "account" with the name of its service account, "fsGroup" true, "spread" true to spread it
over nodes unless values say how.
*/}}
{{- define "streaming-monitoring.pod" -}}
{{- with .account -}}
serviceAccountName: {{ . | quote }}
{{- else -}}
automountServiceAccountToken: false
{{- end }}
enableServiceLinks: false
{{- include "streaming-monitoring.pullSecrets" .root }}
{{- with include "streaming-monitoring.podSecurityContext" . }}
{{ . }}
{{- end }}
{{- include "streaming-monitoring.placement" .settings }}
{{- if .settings.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .settings.topologySpreadConstraints | nindent 2 }}
{{- else if .spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "streaming-monitoring.selectorLabels" (list .root .component) | nindent 8 }}
{{- end }}
{{- end -}}

{{/* Where a pod may run. Call with the component's values. */}}
{{- define "streaming-monitoring.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Metadata of a pod. Call with (list $ "component" .Values.x), or (list $ "component" .Values.x ANNOTATIONS) with ours. */}}
{{- define "streaming-monitoring.podMetadata" -}}
{{- $settings := index . 2 -}}
labels:
  {{- include "streaming-monitoring.podLabels" (list (index . 0) (index . 1) (mergeOverwrite (deepCopy (index . 0).Values.commonLabels) (deepCopy $settings.podLabels))) | nindent 2 }}
{{- $annotations := deepCopy $settings.podAnnotations }}
{{- if gt (len .) 3 }}{{- $annotations = mergeOverwrite $annotations (index . 3) }}{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Namespaces whose FlinkDeployments are watched, as a JSON list under "items". */}}
{{- define "streaming-monitoring.targetNamespaces" -}}
{{- dict "items" (.Values.targetNamespaces | default (list .Release.Namespace) | uniq | sortAlpha) | toJson -}}
{{- end -}}

{{- define "streaming-monitoring.bootstrapServers" -}}
{{- if .Values.kafka.enabled -}}
{{- printf "%s-kafka-bootstrap.%s.svc:9092" .Values.kafka.clusterName .Release.Namespace -}}
{{- else if .Values.kafka.existing.bootstrapServers -}}
{{- .Values.kafka.existing.bootstrapServers -}}
{{- else -}}
{{- fail "kafka.existing.bootstrapServers is needed when kafka.enabled is false (such as kafka.kafka.svc:9092)" -}}
{{- end -}}
{{- end -}}

{{/* YAML that every parser reads: a bare "=" has a meaning of its own in YAML 1.1, and PyYAML stops at it. */}}
{{- define "streaming-monitoring.toYaml" -}}
{{- regexReplaceAll "(?m): =$" (toYaml .) ": \"=\"" -}}
{{- end -}}

{{/* Whole numbers without an exponent: a number from a values file is a float, and 1000000 would become 1e+06. */}}
{{- define "streaming-monitoring.number" -}}
{{- if eq (float64 .) (floor .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/*
A value that something else may have changed in the cluster since (a remediation, the demo). While the user's value
is the one that the object was last rendered from, what is live stays; a changed value wins. Without this a
"helm upgrade" would take a repair back (Helm 3) or stop with a conflict (Helm 4).
Call with (dict "object" LIVE "annotation" NAME "path" (list "spec" "job" "parallelism") "wanted" VALUE).
*/}}
{{- define "streaming-monitoring.keepLive" -}}
{{- $object := .object | default dict -}}
{{- $recorded := dig "metadata" "annotations" .annotation "" $object -}}
{{- $value := .wanted -}}
{{- if eq $recorded (toString .wanted) -}}
{{- $found := $object -}}
{{- range .path -}}
{{- if kindIs "map" $found -}}{{- $found = get $found . -}}{{- end -}}
{{- end -}}
{{- if not (or (kindIs "map" $found) (empty $found)) -}}{{- $value = $found -}}{{- end -}}
{{- end -}}
{{- $value -}}
{{- end -}}
