{{- define "flink-operator.labels" -}}
app.kubernetes.io/name: flink-kubernetes-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* The namespaces that get an account for jobs: as the real chart, the release's one only if it is watched. */}}
{{- define "flink-operator.jobNamespaces" -}}
{{- toJson (dict "items" (.Values.watchNamespaces | default (list .Release.Namespace))) }}
{{- end }}

{{- define "flink-operator.rules" -}}
- apiGroups: [""]
  resources: [pods, services, events, configmaps, secrets]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments, deployments/finalizers, replicasets]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, update, patch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [flink.apache.org]
  resources: [flinkdeployments, flinkdeployments/finalizers, flinksessionjobs, flinksessionjobs/finalizers]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [flink.apache.org]
  resources: [flinkdeployments/status, flinksessionjobs/status]
  verbs: [get, update, patch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, patch, delete]
{{- end }}
