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
        name: {{ include "streaming-monitoring.webhookSecret" . | quote }}
        key: token
    {{- with $tls }}
    tlsConfig:
      ca: {secret: {name: {{ . | quote }}, key: ca.crt}}
      serverName: {{ $host }}
    {{- end }}
{{- end -}}

{{/* Flags that both roles take. */}}
{{- define "streaming-monitoring.remediatorArgs" -}}
- {{ printf "--namespace=%s" .Release.Namespace | quote }}
- --metrics-port=8081
{{- range (include "streaming-monitoring.targetNamespaces" . | fromJson).items }}
- {{ printf "--target-namespace=%s" . | quote }}
{{- end }}
{{- end -}}

{{/* What the pods of both roles share. Call with (list $ "remediator-receiver"). */}}
{{- define "streaming-monitoring.remediatorPod" -}}
{{- $root := index . 0 -}}
{{- $account := printf "%s-%s" (include "streaming-monitoring.fullname" $root) (index . 1) -}}
{{- include "streaming-monitoring.pod" (dict "root" $root "component" (index . 1) "account" $account "settings" $root.Values.remediator "user" 65532 "fsGroup" true "spread" true) -}}
{{- end -}}
