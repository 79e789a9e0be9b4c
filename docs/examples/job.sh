#!/bin/sh
# One job script for a laptop and for every scheduler. The word is the program to run.
#
#   sh job.sh qiskit_ghz.py         a laptop: the embedded simulator
#   sbatch job.sh qiskit_ghz.py     Slurm
#   qsub job.sh qiskit_ghz.py       Grid Engine, Open Cluster Scheduler
#   qsub -l quantum_resources=auto -l walltime=600 -v PYTHON,PROGRAM=qiskit_ghz.py job.sh    PBS
#   bsub -W 10 -a "qrmi(auto)" sh job.sh qiskit_ghz.py                                       LSF
#   flux run -t 10m --setattr=system.qrmi.qpu=auto sh job.sh qiskit_ghz.py                   Flux
#
# Slurm and Grid Engine read their own lines below, and take the others for comments. (Lines for PBS
# or LSF would not do: Slurm reads those as well.) They ask for one QPU, whichever is free, and ten
# minutes. Put a name in the place of `auto` for a certain QPU.
#
#SBATCH --job-name=bell
#SBATCH --time=10
#QRMI --qpu=auto
#
#$ -N bell
#$ -S /bin/sh
#$ -cwd
#$ -V
#$ -l h_rt=600
#$ -l qpu=auto

set -e
cd "${PBS_O_WORKDIR:-.}"
[ $# -gt 0 ] || set -- "${PROGRAM:-qiskit_ghz.py}"
exec "${PYTHON:-python3}" "$@"
