{{/*
Template of a hook's pod, up to the arguments of its only container: an image with Python that is on the nodes already.
Call with (dict "root" $ "component" NAME "account" NAME "image" .Values.x.image).
*/}}
{{- define "streaming-monitoring.hookPod" -}}
{{- $root := .root -}}
{{- $hooks := $root.Values.hooks -}}
{{- $settings := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- $_ := set $settings $key (get $hooks $key | default (get $root.Values.remediator $key)) -}}
{{- end -}}
metadata:
  labels:
    {{- include "streaming-monitoring.podLabels" (list $root .component $root.Values.commonLabels) | nindent 4 }}
spec:
  restartPolicy: Never
  {{- include "streaming-monitoring.pod" (dict "root" $root "component" .component "account" .account "settings" $settings "user" 65532) | nindent 2 }}
  containers:
    - name: hook
      image: {{ $hooks.image | default (include "streaming-monitoring.image" (list $root .image)) | quote }}
      imagePullPolicy: {{ ternary "IfNotPresent" (include "streaming-monitoring.pullPolicy" (list $root .image)) (not (empty $hooks.image)) }}
      {{- with include "streaming-monitoring.containerSecurityContext" (dict "root" $root) }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with $hooks.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      command: [python3, -c]
{{- end -}}

{{/* Annotations of a hook's object; what comes before the Job has weight -1. Call with (list "pre-delete" "-1"). */}}
{{- define "streaming-monitoring.hookAnnotations" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
