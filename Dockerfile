# The commands clipgan-train, clipgan-sample, clipgan-evaluate, clipgan-report and clipgan-studies in a container.
#
# docker build -t clipgan .
# docker build -t clipgan:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 .
# docker run --rm -v "$PWD":/work -v clipgan-cache:/cache clipgan -m h=0.1,0.5,2
# docker run --rm --gpus all -v "$PWD":/work -v clipgan-cache:/cache clipgan:cuda device=cuda kimg=100

ARG BASE=python:3.12-slim
FROM ${BASE}

# address of the package index that has PyTorch's wheels, such as those without CUDA; empty: PyPI, whose wheels bring CUDA
ARG TORCH_INDEX=

# a base without Python, like NVIDIA's, gets its distribution's
RUN command -v python3 > /dev/null || (apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/clipgan
ENV PATH=/opt/clipgan/bin:$PATH PIP_NO_CACHE_DIR=1
RUN if [ -n "${TORCH_INDEX}" ]; then \
        pip install --index-url "${TORCH_INDEX}" torch torchvision; \
    fi
COPY . /source
RUN pip install '/source[tensorboard,postgresql]' && rm -rf /source

ENV XDG_CACHE_HOME=/cache OMP_WAIT_POLICY=PASSIVE
WORKDIR /work
ENTRYPOINT ["clipgan-train"]
