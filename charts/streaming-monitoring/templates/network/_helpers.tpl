{{/* Rules of NetworkPolicies that more than one component needs. */}}
{{- define "streaming-monitoring.egressToDns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* The API server has an address of its own outside the pod network, so only its ports can be named. */}}
{{- define "streaming-monitoring.egressToApiServer" -}}
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* Where a Kafka of the user's lives is not known here, unless networkPolicy.kafkaPeers says so. */}}
{{- define "streaming-monitoring.egressToKafka" -}}
{{- if .Values.networkPolicy.kafkaPeers -}}
- to:
    {{- toYaml .Values.networkPolicy.kafkaPeers | nindent 4 }}
{{- else if .Values.kafka.enabled -}}
- to:
    - podSelector:
        matchLabels: {strimzi.io/kind: Kafka, strimzi.io/cluster: {{ .Values.kafka.clusterName }}}
{{- else -}}
- {}
{{- end -}}
{{- end -}}
