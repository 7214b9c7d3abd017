{{- /* The real chart's name: cut so that the operator's longer names still fit. */}}
{{- define "kps.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 26 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 26 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 26 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Name of the Prometheus or Alertmanager resource: (list $ "prometheus"). */}}
{{- define "kps.resource" -}}
{{- $root := index . 0 }}
{{- if $root.Values.cleanPrometheusOperatorObjectNames }}
{{- include "kps.fullname" $root }}
{{- else }}
{{- include "kps.fullname" $root }}-{{ index . 1 }}
{{- end }}
{{- end }}

{{- define "kps.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
app.kubernetes.io/part-of: kube-prometheus-stack
chart: {{ .Chart.Name }}-{{ .Chart.Version }}
release: {{ .Release.Name | quote }}
heritage: {{ .Release.Service | quote }}
{{- end }}

{{- /* A selector of the Prometheus resource: (list $ "rule"). */}}
{{- define "kps.selector" -}}
{{- $root := index . 0 }}
{{- $spec := $root.Values.prometheus.prometheusSpec }}
{{- $own := get $spec (printf "%sSelector" (index . 1)) }}
{{- if $own }}
{{- toYaml $own }}
{{- else if get $spec (printf "%sSelectorNilUsesHelmValues" (index . 1)) }}
{{- toYaml (dict "matchLabels" (dict "release" $root.Release.Name)) }}
{{- else -}}
{}
{{- end }}
{{- end }}

{{- define "kps.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
