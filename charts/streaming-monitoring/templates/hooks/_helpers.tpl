{{/* Pod of a hook, up to the arguments of its only container. Call with (list $ "account" .Values.x.image): an image
with Python that is on the nodes already. */}}
{{- define "streaming-monitoring.hookPod" -}}
{{- $root := index . 0 -}}
{{- $image := index . 2 -}}
serviceAccountName: {{ index . 1 }}
restartPolicy: Never
{{- include "streaming-monitoring.pullSecrets" $root }}
securityContext:
  {{- include "streaming-monitoring.podSecurityContext" $root | nindent 2 }}
  runAsUser: 65532
  runAsGroup: 65532
containers:
  - name: hook
    image: {{ include "streaming-monitoring.image" (list $root $image) }}
    imagePullPolicy: {{ $image.pullPolicy }}
    securityContext:
      {{- include "streaming-monitoring.containerSecurityContext" $root | nindent 6 }}
    resources:
      requests: {cpu: 20m, memory: 32Mi}
      limits: {memory: 128Mi}
    command: [python3, -c]
{{- end -}}
