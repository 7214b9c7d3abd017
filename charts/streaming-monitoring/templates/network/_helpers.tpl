{{/*
Rules of NetworkPolicies. A rule whose list of peers is empty would let everybody through, so there is none then. Call
with (dict "peers" LIST "ports" (list 8080)); without ports all are meant.
*/}}
{{- define "streaming-monitoring.ingressFrom" -}}
{{- if .peers -}}
- from:
    {{- toYaml .peers | nindent 4 }}
  {{- include "streaming-monitoring.networkPorts" .ports | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.egressTo" -}}
{{- if .peers -}}
- to:
    {{- toYaml .peers | nindent 4 }}
  {{- with .ports }}
  {{- include "streaming-monitoring.networkPorts" . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.networkPorts" -}}
ports:
  {{- range . }}
  - {port: {{ int . }}, protocol: TCP}
  {{- end }}
{{- end -}}

{{/* The pods of a component, as a peer. Call with (list $ "component"). */}}
{{- define "streaming-monitoring.peer" -}}
{{- dict "podSelector" (dict "matchLabels" (include "streaming-monitoring.selectorLabels" . | fromYaml)) | toJson -}}
{{- end -}}

{{- define "streaming-monitoring.egressToDns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* The API server has an address of its own outside the pod network, which is known only where values tell it. */}}
{{- define "streaming-monitoring.egressToApiServer" -}}
{{- $peers := .Values.networkPolicy.apiServerPeers -}}
{{- if kindIs "string" $peers -}}
- {{ include "streaming-monitoring.networkPorts" .Values.networkPolicy.apiServerPorts | nindent 2 | trim }}
{{- else -}}
{{- include "streaming-monitoring.egressTo" (dict "peers" $peers "ports" .Values.networkPolicy.apiServerPorts) -}}
{{- end -}}
{{- end -}}

{{/* Where a Kafka of the user's lives is not known here, unless networkPolicy.kafkaPeers says so. */}}
{{- define "streaming-monitoring.egressToKafka" -}}
{{- $peers := .Values.networkPolicy.kafkaPeers -}}
{{- if not (kindIs "string" $peers) -}}
{{- include "streaming-monitoring.egressTo" (dict "peers" $peers) -}}
{{- else if .Values.kafka.enabled -}}
- to:
    - podSelector:
        matchLabels: {strimzi.io/kind: Kafka, strimzi.io/cluster: {{ .Values.kafka.clusterName | quote }}}
{{- else -}}
- {}
{{- end -}}
{{- end -}}
