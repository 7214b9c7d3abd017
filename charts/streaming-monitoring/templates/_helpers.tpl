{{/* Base name of our objects: the release's name, with the chart's name unless it is in there already. */}}
{{- define "streaming-monitoring.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a Service or Deployment selects by. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of every object. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.labels" -}}
{{- $root := index . 0 -}}
{{ include "streaming-monitoring.selectorLabels" . }}
app.kubernetes.io/part-of: streaming-monitoring
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of monitors and rules, which an existing Prometheus may select by. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.monitoringLabels" -}}
{{ include "streaming-monitoring.labels" . }}
{{- with (index . 0).Values.prometheus.selectorLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* registry/repository:tag; the tag defaults to the chart's appVersion. Call with (list $ .Values.x.image). */}}
{{- define "streaming-monitoring.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $tag := $image.tag | default $root.Chart.AppVersion -}}
{{- with $root.Values.image.registry -}}{{ trimSuffix "/" . }}/{{- end -}}
{{ $image.repository }}:{{ $tag }}
{{- end -}}

{{- define "streaming-monitoring.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The "restricted" Pod Security Standard; the user's number comes from the image or from runAsUser. */}}
{{- define "streaming-monitoring.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "streaming-monitoring.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Namespaces whose FlinkDeployments are watched, as a JSON list under "items". */}}
{{- define "streaming-monitoring.targetNamespaces" -}}
{{- dict "items" (.Values.targetNamespaces | default (list .Release.Namespace) | uniq | sortAlpha) | toJson -}}
{{- end -}}

{{- define "streaming-monitoring.prometheusUrl" -}}
{{- $stack := index .Values "kube-prometheus-stack" -}}
{{- if .Values.prometheus.url -}}
{{- .Values.prometheus.url -}}
{{- else if $stack.enabled -}}
{{- printf "http://%s-prometheus.%s.svc:9090" $stack.fullnameOverride .Release.Namespace -}}
{{- else -}}
{{- fail "prometheus.url is needed when kube-prometheus-stack.enabled is false (such as http://prometheus.monitoring.svc:9090)" -}}
{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.alertmanagerUrl" -}}
{{- $stack := index .Values "kube-prometheus-stack" -}}
{{- if .Values.alertmanager.url -}}
{{- .Values.alertmanager.url -}}
{{- else if $stack.enabled -}}
{{- /* The headless Service that Prometheus Operator makes: the receiver asks every replica. */ -}}
{{- printf "http://alertmanager-operated.%s.svc:9093" .Release.Namespace -}}
{{- else -}}
{{- fail "alertmanager.url is needed when kube-prometheus-stack.enabled is false (such as http://alertmanager.monitoring.svc:9093)" -}}
{{- end -}}
{{- end -}}

{{- /* Prometheus Operator names receivers NAMESPACE/ALERTMANAGERCONFIG/RECEIVER. */ -}}
{{- define "streaming-monitoring.alertmanagerReceiver" -}}
{{- if .Values.alertmanager.receiver -}}
{{- .Values.alertmanager.receiver -}}
{{- else if .Values.alertmanager.routing.enabled -}}
{{- printf "%s/%s-(remediator|watchdog)/remediator" .Release.Namespace (include "streaming-monitoring.fullname" .) -}}
{{- end -}}
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
