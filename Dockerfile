# docker build -t bmix-lite . && docker run --rm -p 8888:8888 bmix-lite, then open the address that it prints
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends make git && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home student
USER student
WORKDIR /home/student/bmix-lite
COPY --chown=student . .
RUN make install
EXPOSE 8888
CMD [".venv/bin/python", "-m", "jupyterlab", "--ip=0.0.0.0", "--no-browser", "--notebook-dir=notebooks", \
     "--LabApp.default_url=/lab/tree/00_start_here.ipynb"]
