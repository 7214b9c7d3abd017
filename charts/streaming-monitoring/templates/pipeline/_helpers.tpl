{{/* The init container that hands a folder of the node to Flink: it belongs to root, and fsGroup does not reach it. */}}
{{- define "streaming-monitoring.ownCheckpoints" -}}
{{- $image := .Values.pipeline.image -}}
{{- $path := .Values.pipeline.checkpoints.mountPath -}}
- name: own-checkpoints
  image: {{ include "streaming-monitoring.image" (list $ $image) | quote }}
  imagePullPolicy: {{ include "streaming-monitoring.pullPolicy" (list $ $image) }}
  command: [chown, "9999:9999", {{ $path | quote }}]
  securityContext:
    runAsNonRoot: false
    runAsUser: 0
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL], add: [CHOWN]}
  volumeMounts:
    - {name: checkpoints, mountPath: {{ $path | quote }}}
{{- end -}}
