#!/bin/sh
# @MARK@: tells Grid Engine of the QPUs. Running it again is harmless.
# For a manager of Grid Engine, on an administrative host.
set -eu
@EXPORTS@
folder=@FOLDER@
queues=@QUEUES@
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
left=0
own() {
    left=1
    echo "left as it is: $1" >&2
    echo "    $2" >&2
}

# The consumables, and the words that users write; where the site has those already, its own stay.
qconf -sc | grep -v '^#' >"$work/present"
grep -Ev '^(@NAMES@)[[:space:]]' "$work/present" >"$work/complexes" || true
while read -r line; do
    case $line in
        '#'*) ;;
        'qpu '* | 'qpu_slots '* | 'qpu_ready '*)
            grep -Eq "^${line%% *}[[:space:]]" "$work/present" || echo "$line" >>"$work/complexes" ;;
        *) echo "$line" >>"$work/complexes" ;;
    esac
done <"$folder/complexes"
qconf -Mc "$work/complexes"

# What there is of them.
qconf -mattr exechost complex_values @VALUES@ @POOL_HOST@

# The hooks of the queues.
for queue in $queues; do
    qconf -sq "$queue" >"$work/queue"
    for hook in prolog epilog; do
        present=$(sed -n "s/^$hook  *//p" "$work/queue" | sed 's/ *$//')
        case $present in
            NONE | none | "root@$folder/$hook "*)
                qconf -mattr queue "$hook" "root@$folder/$hook \$job_id \$ja_task_id" "$queue" ;;
            *) own "queue $queue has a $hook of its own: $present" \
                "it has to run as root@ and call $folder/$hook \$job_id \$ja_task_id; 99 and 100 are to be passed on" ;;
        esac
    done
done

# The JSV, for all submissions.
qconf -sconf global | grep -v '^#' >"$work/global"
present=$(sed -n 's/^jsv_url  *//p' "$work/global" | sed 's/ *$//')
case $present in
    NONE | none | '' | "script:$folder/jsv")
        grep -v '^jsv_url' "$work/global" >"$work/new" || true
        echo "jsv_url script:$folder/jsv" >>"$work/new"
        mv "$work/new" "$work/global"
        qconf -Mconf "$work/global" ;;
    *) own "jsv_url is $present" "let it do what $folder/jsv does" ;;
esac

# The load sensor, on this host, where the daemon is.
host=@SENSOR_HOST@
if qconf -sel | grep -qx "$host"; then
    if qconf -sconfl | grep -qx "$host"; then
        qconf -sconf "$host" | grep -Ev '^(#|load_sensor)' >"$work/$host" || true
        echo "load_sensor $folder/load_sensor" >>"$work/$host"
        qconf -Mconf "$work/$host"
    else
        echo "load_sensor $folder/load_sensor" >"$work/$host"
        qconf -Aconf "$work/$host"
    fi
else
    own "$host runs no jobs, so no load sensor is set" \
        "on a host that does: load_sensor $folder/load_sensor, with qconf -mconf HOST"
fi
exit $left
