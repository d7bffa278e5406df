"""Texts of the files that `ferkeras.export.serving_files` writes; `$name` and the like are filled in."""

MODELS = """\
# Models for tensorflow_model_server --model_config_file. A later version goes beside the first, in its own folder.
model_config_list {
  config {
    name: "$name"
    base_path: "/models/$name"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 1 } }
  }
}
"""

MONITORING = """\
# For --monitoring_config_file: counts and latencies for Prometheus, on the REST port.
prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }
"""

BATCHING = """\
# For --enable_batching=true --batching_parameters_file: requests that arrive together run as one batch.
# Not switched on in the Dockerfile: read "Batching" in README.md first.
max_batch_size { value: 32 }
batch_timeout_micros { value: 5000 }
num_batch_threads { value: 4 }
max_enqueued_batches { value: 100 }
"""

DOCKERFILE = """\
# Built in the run folder:  docker build -f serving/Dockerfile -t $image .
ARG TF_SERVING_VERSION=$version
FROM tensorflow/serving:${TF_SERVING_VERSION}
COPY saved_model /models/$name
COPY serving/models.config serving/monitoring.config serving/batching.config /serving/
# The server writes no file and needs no rights.
USER 65532:65532
EXPOSE 8500 8501
ENTRYPOINT ["/usr/bin/tensorflow_model_server"]
CMD ["--port=8500", "--rest_api_port=8501", "--model_config_file=/serving/models.config", \\
     "--monitoring_config_file=/serving/monitoring.config"]
"""

DOCKERIGNORE = """\
*
!saved_model
!serving
"""

KUBERNETES = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $image
  labels: {app: $image}
spec:
  replicas: 2
  selector:
    matchLabels: {app: $image}
  template:
    metadata:
      labels: {app: $image}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: serving
          image: $image:1
          ports:
            - {name: grpc, containerPort: 8500}
            - {name: rest, containerPort: 8501}
          resources:
            requests: {cpu: "1", memory: 1Gi}
            limits: {memory: 2Gi}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
          startupProbe: # the model is loaded and warm before it is asked
            httpGet: {path: /v1/models/$name, port: rest}
            periodSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: /v1/models/$name, port: rest}
            periodSeconds: 10
          livenessProbe:
            tcpSocket: {port: grpc}
            periodSeconds: 20
---
apiVersion: v1
kind: Service
metadata:
  name: $image
spec:
  selector: {app: $image}
  ports:
    - {name: grpc, port: 8500, targetPort: grpc}
    - {name: rest, port: 8501, targetPort: rest}
"""

README = """\
# Serving $name

Written by `ferkeras export`; the network itself is in `../saved_model/1`, with $records warm-up requests in its
`assets.extra/tf_serving_warmup_requests`, which the server runs before it takes the first request.

| file | for |
|---|---|
| `models.config` | `--model_config_file` |
| `monitoring.config` | `--monitoring_config_file`: metrics at `/monitoring/prometheus/metrics` of the REST port |
| `batching.config` | `--batching_parameters_file`, see below |
| `Dockerfile`, `Dockerfile.dockerignore` | an image with the network inside |
| `kubernetes.yaml` | two replicas and a service; set your registry before the image name |

In the run folder:

    docker build -f serving/Dockerfile -t $image:1 .
    docker run --rm -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 $image:1
    kubectl apply -f serving/kubernetes.yaml

The server knows no users and no passwords: keep the ports on your own network, or behind a proxy that does.

## Signatures

B is the batch and T the number of frames; `?` marks a free axis. Pixels are in [0, 255]. A picture is the crop of one
face, upright; bytes are JPEG, PNG, GIF (first frame) or BMP.

$signatures

From Python, without TensorFlow:

    from pathlib import Path
    from ferkeras.serving import RestClient
    client = RestClient("http://127.0.0.1:8501", "$name")
    print(client.predict($example))

From a shell:

    $curl

## Batching

With `--enable_batching=true --batching_parameters_file=/serving/batching.config` after the other arguments, the server
joins requests of several callers. Two things follow. A picture that cannot be decoded fails the whole batch, the other
callers' requests included: check pictures first, or send arrays. Clips of different lengths cannot be joined and fail;
leave `pad_variable_length_inputs` off, since it would fill up the mask as well, so let all callers send one length.
"""
