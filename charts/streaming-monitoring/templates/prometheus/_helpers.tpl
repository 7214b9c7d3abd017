{{/* The name that kube-prometheus-stack gives its objects, by its own rule. */}}
{{- define "streaming-monitoring.stackName" -}}
{{- $stack := index .Values "kube-prometheus-stack" -}}
{{- $name := $stack.nameOverride | default "kube-prometheus-stack" -}}
{{- $stack.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) | trunc 26 | trimSuffix "-" -}}
{{- end -}}

{{- define "streaming-monitoring.stackNamespace" -}}
{{- (index .Values "kube-prometheus-stack").namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/*
Where a part of the stack is reached: by values, or at a Service in the stack's namespace. Call with
(list $ "prometheus" SERVICE PORT "http://prometheus.monitoring.svc:9090").
*/}}
{{- define "streaming-monitoring.stackUrl" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $settings := get (index $root.Values "kube-prometheus-stack") $part | default dict -}}
{{- $spec := get $settings (printf "%sSpec" $part) | default dict -}}
{{- $url := (get $root.Values $part).url -}}
{{- if $url -}}
{{- $url -}}
{{- else if not (include "streaming-monitoring.dependency" (list $root "kube-prometheus-stack")) -}}
{{- fail (printf "%s.url is needed when kube-prometheus-stack.enabled is false (such as %s)" $part (index . 4)) -}}
{{- else if eq (toString $settings.enabled) "false" -}}
{{- fail (printf "%s.url is needed when kube-prometheus-stack.%s.enabled is false (such as %s)" $part $part (index . 4)) -}}
{{- else -}}
{{- $scheme := ternary "https" "http" (not (empty (get ($spec.web | default dict) "tlsConfig"))) -}}
{{- printf "%s://%s.%s.svc:%d%s" $scheme (index . 2) (include "streaming-monitoring.stackNamespace" $root) (int (index . 3)) (trimSuffix "/" ($spec.routePrefix | default "/")) -}}
{{- end -}}
{{- end -}}

{{- define "streaming-monitoring.prometheusUrl" -}}
{{- $settings := get (index .Values "kube-prometheus-stack") "prometheus" | default dict -}}
{{- $port := get ($settings.service | default dict) "port" | default 9090 -}}
{{- include "streaming-monitoring.stackUrl" (list . "prometheus" (printf "%s-prometheus" (include "streaming-monitoring.stackName" .)) $port "http://prometheus.monitoring.svc:9090") -}}
{{- end -}}

{{/* The headless Service that Prometheus Operator makes: the receiver asks every replica. */}}
{{- define "streaming-monitoring.alertmanagerUrl" -}}
{{- $settings := get (index .Values "kube-prometheus-stack") "alertmanager" | default dict -}}
{{- $service := get ($settings.alertmanagerSpec | default dict) "serviceName" | default "alertmanager-operated" -}}
{{- include "streaming-monitoring.stackUrl" (list . "alertmanager" $service 9093 "http://alertmanager-operated.monitoring.svc:9093") -}}
{{- end -}}

{{/* Prometheus Operator names receivers NAMESPACE/ALERTMANAGERCONFIG/RECEIVER. */}}
{{- define "streaming-monitoring.alertmanagerReceiver" -}}
{{- if .Values.alertmanager.receiver -}}
{{- .Values.alertmanager.receiver -}}
{{- else if .Values.alertmanager.routing.enabled -}}
{{- printf "%s/%s-(remediator|watchdog)/remediator" .Release.Namespace (include "streaming-monitoring.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap of the runbooks, for which the values of kube-prometheus-stack have a fixed name. */}}
{{- define "streaming-monitoring.runbooks" -}}
{{- if include "streaming-monitoring.dependency" (list . "kube-prometheus-stack") }}streaming-monitoring-runbooks{{ else }}{{ include "streaming-monitoring.fullname" . }}-runbooks{{ end -}}
{{- end -}}

{{/* Address of a runbook, with {alert} in the place of the alert's name; README is the page with all of them. */}}
{{- define "streaming-monitoring.runbookUrl" -}}
{{- $spec := get (get (index .Values "kube-prometheus-stack") "prometheus" | default dict) "prometheusSpec" | default dict -}}
{{- $url := $spec.externalUrl | default (printf "http://localhost:9090%s" (trimSuffix "/" ($spec.routePrefix | default "/"))) -}}
{{- .Values.rules.runbookUrl | default (printf "%s/user/{alert}.html" (trimSuffix "/" $url)) -}}
{{- end -}}
