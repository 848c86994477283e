"""How LokOS is put on machines: one machine here, Kubernetes in k8s/, and one file a state in states/."""
