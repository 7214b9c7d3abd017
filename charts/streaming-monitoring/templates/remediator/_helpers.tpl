{{- define "streaming-monitoring.webhookSecret" -}}
{{- .Values.remediator.webhook.existingSecret | default (printf "%s-remediator-webhook" (include "streaming-monitoring.fullname" .)) -}}
{{- end -}}

{{/* Where Alertmanager delivers: one entry of webhookConfigs. */}}
{{- define "streaming-monitoring.webhook" -}}
{{- $host := printf "%s-remediator-receiver.%s.svc" (include "streaming-monitoring.fullname" .) .Release.Namespace -}}
{{- $tls := .Values.remediator.webhook.tls.existingSecret -}}
- url: {{ ternary "https" "http" (not (empty $tls)) }}://{{ $host }}:8080/alerts
  sendResolved: true
  httpConfig:
    followRedirects: false
    authorization:
      type: Bearer
      credentials:
        name: {{ include "streaming-monitoring.webhookSecret" . }}
        key: token
    {{- with $tls }}
    tlsConfig:
      ca: {secret: {name: {{ . }}, key: ca.crt}}
      serverName: {{ $host }}
    {{- end }}
{{- end -}}

{{/* Flags that both roles take. */}}
{{- define "streaming-monitoring.remediatorArgs" -}}
- --namespace={{ .Release.Namespace }}
- --metrics-port=8081
{{- range (include "streaming-monitoring.targetNamespaces" . | fromJson).items }}
- --target-namespace={{ . }}
{{- end }}
{{- end -}}

{{/* What the pods of both roles share. Call with (list $ "remediator-receiver"). */}}
{{- define "streaming-monitoring.remediatorPod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "streaming-monitoring.fullname" $root }}-{{ index . 1 }}
enableServiceLinks: false
{{- include "streaming-monitoring.pullSecrets" $root }}
securityContext:
  {{- include "streaming-monitoring.podSecurityContext" $root | nindent 2 }}
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "streaming-monitoring.selectorLabels" . | nindent 8 }}
{{- with $root.Values.remediator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.remediator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.remediator.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
