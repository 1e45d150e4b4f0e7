#!/usr/bin/env bash
# Over real MPI ranks: the same iterates and bytes as with threads, and an end with one message and a code other than 0 when a rank is killed,
# stopped, missing or gives NaN. Every run is bounded in time.
#
# Usage: failures.sh PROGRAM
set -u
program=$(realpath "$1")
examples=$(realpath "$(dirname "$0")/../../examples")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
launch=(mpirun --allow-run-as-root --oversubscribe)
bad=0

check() { # NAME CONDITION...
    local name=$1
    shift
    if "$@"; then echo "ok    $name"; else
        echo "WRONG $name"
        bad=1
    fi
}

# 1. Both transports, MASHA1 and MASHA2: solutions, histories and bytes.
for method in masha1 masha2; do
    compressor='{ name = "rand-k", fraction = 0.1 }'
    [ $method = masha2 ] && compressor='{ name = "top-k", fraction = 0.1 }'
    cat > "$folder/$method.toml" <<TOML
[saddle-point]
operator = "regularised-bilinear"
dimension = 50
workers = 4
condition = 100
heterogeneity = 5

[method]
name = "$method"
worker-compressor = $compressor
server-compressor = $compressor
iterations = 500
record-every = 100
tolerance = 0
timeout = 20
TOML
    timeout 100 "$program" solve "$folder/$method.toml" --quiet --output "$folder/threads-$method"
    timeout 100 "${launch[@]}" -n 5 "$program" solve "$folder/$method.toml" --quiet --output "$folder/mpi-$method" 2> "$folder/log"
    check "$method: the same solution bit for bit" cmp -s "$folder/threads-$method/solution.npy" "$folder/mpi-$method/solution.npy"
    for kind in threads mpi; do cut -d, -f1,3- "$folder/$kind-$method/history.csv" > "$folder/$kind.csv"; done
    check "$method: the same distances and bytes" cmp -s "$folder/threads.csv" "$folder/mpi.csv"
done

# 2. A rank that is killed, and one that is stopped.
sed 's/^iterations = .*/iterations = 100000000/; s/^timeout = .*/timeout = 5/' "$folder/masha1.toml" > "$folder/long.toml"
for signal in KILL STOP; do
    # --foreground: mpirun and its ranks stay children of this shell.
    timeout --foreground 60 "${launch[@]}" -n 5 "$program" solve "$folder/long.toml" --quiet --output "$folder/never" > "$folder/log" 2>&1 &
    run=$!
    sleep 4
    mpi=$(ps -o pid= --ppid $run | head -1)
    rank=$(ps -o pid=,comm= --ppid "$mpi" | awk '$2 == "mathesis" {print $1}' | sed -n 3p)
    check "SIG$signal: a rank to send it to" test -n "$rank"
    kill -$signal "$rank"
    start=$SECONDS
    wait $run
    code=$?
    check "SIG$signal: code $code, after $((SECONDS - start)) s, which is neither 0 nor a time-out" test $code -ne 0 -a $code -ne 124
    check "SIG$signal: no run folder" test ! -e "$folder/never"
    # Open MPI stops and kills what is left; a stopped process is continued so that it can end.
    kill -CONT "$rank" 2> /dev/null
    grep -E "error|signal" "$folder/log" | head -2 | sed 's/^/      /'
done

# 3. Wrong numbers of ranks.
timeout 60 "${launch[@]}" -n 3 "$program" solve "$folder/masha1.toml" --quiet --output "$folder/never" > "$folder/log" 2>&1
code=$?
check "3 ranks for 4 workers: code $code" test $code -ne 0 -a $code -ne 124
check "3 ranks for 4 workers: one message" test "$(grep -c "3 processes for 4 workers" "$folder/log")" = 1
sed 's/^timeout/transport = "mpi"\ntimeout/' "$folder/masha1.toml" > "$folder/alone.toml"
timeout 60 "$program" solve "$folder/alone.toml" --quiet --output "$folder/never" > "$folder/log" 2>&1
code=$?
check "one process alone: code $code" test $code -eq 2

# 4. A step so large that values leave the floats: halved, not hung.
sed 's/^iterations = .*/iterations = 3000\nstep = 1e6/' "$folder/masha2.toml" > "$folder/large.toml"
timeout 100 "${launch[@]}" -n 5 "$program" solve "$folder/large.toml" --output "$folder/large" > "$folder/log" 2>&1
check "a step of 1e6: the report tells of halving" grep -q "the step is halved" "$folder/large/run.json"

# 5. The example.
timeout 100 "${launch[@]}" -n 5 "$program" solve "$examples/saddle-masha.toml" --quiet --output "$folder/example" > "$folder/log" 2>&1
check "the example over MPI" test $? -eq 0
exit $bad
