#!/bin/sh
# @MARK@: takes back what apply.sh did. Jobs that ask for QPUs must be gone.
# For a manager of Grid Engine, on an administrative host.
set -eu
@EXPORTS@
folder=@FOLDER@
queues=@QUEUES@
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

host=@SENSOR_HOST@
if qconf -sconfl | grep -qx "$host" && qconf -sconf "$host" | grep -q "load_sensor *$folder/"; then
    qconf -sconf "$host" | grep -Ev '^(#|load_sensor)' >"$work/$host" || true
    echo 'load_sensor none' >>"$work/$host"
    qconf -Mconf "$work/$host"
fi
if qconf -sconf global | grep -q "^jsv_url *script:$folder/jsv"; then
    qconf -sconf global | grep -Ev '^(#|jsv_url)' >"$work/global"
    echo 'jsv_url none' >>"$work/global"
    qconf -Mconf "$work/global"
fi
for queue in $queues; do
    for hook in prolog epilog; do
        if qconf -sq "$queue" | grep -q "^$hook *root@$folder/$hook "; then
            qconf -mattr queue "$hook" NONE "$queue"
        fi
    done
done
if qconf -se @POOL_HOST@ | grep -Eq '^complex_values .*[ ,](@NAMES@)='; then
    qconf -dattr exechost complex_values @VALUES@ @POOL_HOST@
fi

# What the load sensor said last is forgotten with the next report of its host.
turns=0
while [ $turns -lt 120 ] && qconf -se @POOL_HOST@ | grep -Eq '^load_values .*[ ,](@NAMES@)='; do
    turns=$((turns + 1))
    sleep 1
done
qconf -sc | grep -v '^#' | grep -Ev '^(@NAMES@)[[:space:]]' >"$work/present"
while read -r line; do
    case $line in
        'qpu '* | 'qpu_slots '* | 'qpu_ready '*)
            grep -qxF "$(echo $line)" "$folder/complexes" || echo "$line" ;;
        *) echo "$line" ;;
    esac
done <"$work/present" >"$work/complexes"
qconf -Mc "$work/complexes"
