#!/bin/sh
# report.sh - `make bench-report`: BUILD/bench-report.html from what `make bench-peers` and `make bench` have left there,
# and BUILD/bench-report.md, the table of README.md.
#
#     BUILD=build tests/bench/report.sh
#
# Needs BUILD/bench-peers.tsv and BUILD/bench-peers-latency.tsv, takes the machine's limits and ringd's own cases from
# BUILD/bench.tsv if that is there, and gnuplot (tests/deps.sh peers installs it). The page is one file that loads nothing
# from anywhere; its plots are inline SVG.
set -eu

build=${BUILD:-build}
table=$build/bench-peers.tsv
histograms=$build/bench-peers-latency.tsv
page=$build/bench-report.html
for file in "$table" "$histograms"; do
    [ -e "$file" ] || {
        echo "bench-report: $file is not there; 'make bench-peers' writes it" >&2
        exit 1
    }
done
command -v gnuplot >/dev/null || {
    echo "bench-report: gnuplot is not there; 'tests/deps.sh peers' installs it" >&2
    exit 1
}
folder=$(mktemp -d "${TMPDIR:-/tmp}/ringd-report.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

# systems CASE: those with a figure for it, in the order of the table
systems() {
    awk -F'\t' -v want="$1" '$1 == want && $6 != "nan" && !seen[$2]++ { print $2 }' "$2"
}

# plot NAME TITLE XLABEL YLABEL EXTRA: draws what files $folder/NAME.SYSTEM.dat hold, a line each
plot() {
    name=$1
    {
        echo "set terminal svg size 760,620 dynamic font 'sans-serif,15' name '$name' linewidth 1.5"
        echo "set output '$folder/$name.svg'"
        echo "set title '$2' noenhanced; set xlabel '$3'; set ylabel '$4'"
        echo "set grid; set tics nomirror; set bmargin 8; set format y '%g'"
        echo "set key at screen 0.5,0.01 center bottom horizontal maxcols 4 noenhanced"
        echo "$5"
        separator='plot '
        number=0
        while read -r system; do
            number=$((number + 1))
            width=1
            [ "${system#ringd}" = "$system" ] || width=3
            printf "%s'%s' using 1:2 with linespoints lw %s lt %s pt %s title '%s'" "$separator" \
                "$folder/$name.$system.dat" "$width" "$number" "$number" "$system"
            separator=', '
        done <"$folder/$name.systems"
        echo
    } >"$folder/$name.gp"
    if [ -s "$folder/$name.systems" ]; then
        gnuplot "$folder/$name.gp" && sed -e '1,/<svg/{/<svg/!d;}' "$folder/$name.svg"
    fi
}

# by_size CASE: millions of records a second by their size
by_size() {
    systems "$1" "$table" >"$folder/$1.systems"
    while read -r system; do
        awk -F'\t' -v want="$1" -v peer="$system" '$1 == want && $2 == peer && $6 != "nan" { print $3, 1000 / $6 }' \
            "$table" | sort -g >"$folder/$1.$system.dat"
    done <"$folder/$1.systems"
    plot "$1" "$2" 'bytes of a record' 'million records a second' 'set logscale xy; set xtics (8, 64, 256, 1024, 65536)'
}

# by_writers BYTES: the same by the number of writers
by_writers() {
    awk -F'\t' -v bytes="$1" '$1 == "many" && $3 == bytes && $6 != "nan" && !seen[$2]++ { print $2 }' "$table" \
        >"$folder/many$1.systems"
    while read -r system; do
        awk -F'\t' -v bytes="$1" -v peer="$system" \
            '($1 == "many" || $1 == "one") && $2 == peer && $3 == bytes && $6 != "nan" { print $4, 1000 / $6 }' \
            "$table" | sort -g >"$folder/many$1.$system.dat"
    done <"$folder/many$1.systems"
    plot "many$1" "$2" 'writers, on two cores' 'million records a second' \
        'set logscale xy; set xtics (1, 2, 4, 8); set xrange [0.9:9]'
}

# latency CASE BYTES: the share of the messages that take longer, by time
latency() {
    awk -F'\t' -v want="$1" -v bytes="$2" '$1 == want && $3 == bytes && !seen[$2]++ { print $2 }' "$histograms" \
        >"$folder/$1.systems"
    while read -r system; do
        awk -F'\t' -v want="$1" -v bytes="$2" -v peer="$system" \
            '$1 == want && $3 == bytes && $2 == peer { to[++n] = $4 + 0; upper[n] = $5; count[n] = $6; sum += $6 }
             END { for (i = 1; i <= n; i++) print (to[i] + upper[i]) / 2, 100 * count[i] / sum }' \
            "$histograms" | sort -g >"$folder/$1.$system.dat"
    done <"$folder/$1.systems"
    plot "$1" "$3" 'nanoseconds, one way' 'per cent of the messages' 'set logscale x; set yrange [0:*]; set format x "%.0f"'
}

text() {
    sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g'
}

# rows of the table as HTML: a section for each case and size, beside ringd's value of it
rows() {
    awk -F'\t' '
        function figure(value) { return value >= 1000 ? sprintf("%.0f", value) : value >= 10 ? sprintf("%.1f", value) : sprintf("%.2f", value) }
        NR == 1 || $2 == "machine" || $9 == "records" { if ($9 == "records") lost[$1, $2] = $6; next }
        {
            key = $1 "\t" $3 "\t" $4 "\t" $5
            if (!(key in first)) { first[key] = ++keys; name[keys] = key }
            entry[first[key], ++count[first[key]]] = $0
            if ($2 == "ringd") ringd[first[key]] = $6
        }
        END {
            for (k = 1; k <= keys; k++) {
                split(name[k], part, "\t")
                printf "<tbody><tr class=case><th colspan=5>%s, %s bytes, %s to %s</th></tr>\n", part[1], part[2], part[3], part[4]
                for (i = 1; i <= count[k]; i++) {
                    split(entry[k, i], field, "\t")
                    own = field[2] ~ /^ringd/ ? " class=own" : ""
                    if (field[9] == "stalls") {
                        printf "<tr%s><td>%s<td colspan=4>stalls\n", own, field[2]
                        continue
                    }
                    ratio = ringd[k] > 0 ? sprintf("%.2f", field[6] / ringd[k]) : ""
                    gone = (part[1] "_lost", field[2]) in lost ? sprintf(", %.0f lost", lost[part[1] "_lost", field[2]]) : ""
                    printf "<tr%s><td>%s<td>%s %s%s<td>%s to %s<td>%s<td>%s\n", own, field[2], figure(field[6]), field[9], gone,
                        figure(field[7]), figure(field[8]), ratio, field[9] == "us" ? "" : figure(field[6] / field[10])
                }
                print "</tbody>"
            }
        }' "$table"
}

limits() {
    awk -F'\t' '$2 == "machine" && $1 ~ /^limit_/ && $1 != "limit_copy" {
        printf "<tr><td>%s<td>%s %s<td>%s to %s\n", $1, $6, $9, $7, $8 }' "$1"
}

own_rows() {
    awk -F'\t' '$2 == "ringd" { printf "<tr><td>%s<td>%s<td>%s to %s<td>%s %s<td>%s to %s\n", $1, $3, $4, $5, $6, $9, $7, $8 }' "$1"
}

{
    cat <<HEAD
<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>ringd beside what people use today</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}
svg{width:100%;height:auto}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;width:100%}
th,td{text-align:left;padding:.15rem .5rem;white-space:nowrap}
tr.case th{padding-top:1rem;border-bottom:1px solid #999}tr.own td{background:#e8f0fe;font-weight:600}
thead th{border-bottom:2px solid #333}summary{cursor:pointer;font-weight:600}
</style>
<h1>ringd beside what people use today</h1>
<p>Measured $(date -r "$table" '+%Y-%m-%d %H:%M') on $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo | text), $(nproc) processors,
Linux $(uname -r | text). Medians; p10 and p90 beside them. Processes are pinned to two cores, every byte of every record is written and
checked in full on both sides, repetitions go round all cases, and each has the hop of a cache line measured before and
after it. What each system is and how it is set up: tests/bench/README.md.</p>
<table><thead><tr><th>This machine's limits<th>median<th>p10 to p90</thead>
$(limits "$table")
</table>
HEAD
    echo '<h2>Throughput, one writer to one reader</h2>'
    by_size one 'Rings of 1 MiB'
    by_size one_256KiB 'Rings of 256 KiB, which fit the second-level cache'
    by_size one_16MiB 'Rings of 16 MiB'
    echo '<h2>Throughput by writers</h2>'
    by_writers 64 '64 bytes'
    by_writers 1024 '1024 bytes'
    echo '<h2>Latency, one way</h2>'
    latency latency_busy 64 'Both sides busy, 64 bytes'
    latency latency_sleeping 64 'Both sides asleep, 64 bytes'
    echo '<h2>A writer alone</h2>'
    by_size write 'Bursts of half a ring'
    cat <<MIDDLE
<h2>All of it</h2>
<p>x ringd: how many times ringd's median (above 1: ringd is ahead). hops: in units of the cache-line hop measured beside it.
Faults are the time until a reader has another writer's next record; "stalls": not within a second.</p>
<div class=wide><table><thead><tr><th>system<th>median<th>p10 to p90<th>x ringd<th>hops</thead>
MIDDLE
    rows
    echo '</table></div>'
    if [ -e "$build/bench.tsv" ]; then
        echo '<h2>ringd by itself (make bench)</h2><details><summary>all rows</summary><div class=wide><table>'
        echo '<thead><tr><th>case<th>bytes<th>writers to readers<th>median<th>p10 to p90</thead>'
        own_rows "$build/bench.tsv"
        echo '</table></div></details>'
    fi
    echo '</html>'
} >"$page"

# One line for each system: 64 bytes unless the column says so.
awk -F'\t' '
    function figure(value) { return value >= 100 ? sprintf("%.0f", value) : value >= 10 ? sprintf("%.1f", value) : sprintf("%.2f", value) }
    function cell(name, peer, bytes, writers, readers, scale, how,    key) {
        key = name SUBSEP peer SUBSEP bytes SUBSEP writers SUBSEP readers
        if (unit[key] == "stalls") return "stalls"
        if (!(key in median)) return "-"
        return figure(how == "rate" ? scale / median[key] : median[key] / scale)
    }
    NR > 1 && $2 != "machine" {
        key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 SUBSEP $5
        median[key] = $6
        unit[key] = $9
        if ($9 == "stalls") delete median[key]
        if (!seen[$2]++) peers[++peer_count] = $2
    }
    END {
        print "| 64 bytes | write, ns | 1 to 1, M/s | 1 KiB, GB/s | 4 / 8 writers, M/s | one way busy p50 / p99, ns | asleep p50, us | after a killed writer, ms |"
        print "|---|---|---|---|---|---|---|---|"
        for (i = 1; i <= peer_count; i++) {
            s = peers[i]
            printf "| %s | %s | %s | %s | %s / %s | %s / %s | %s | %s |\n", s, cell("write", s, 64, 1, 1, 1, "time"),
                cell("one", s, 64, 1, 1, 1000, "rate"), cell("one", s, 1024, 1, 1, 1024, "rate"),
                cell("many", s, 64, 4, 1, 1000, "rate"), cell("many", s, 64, 8, 1, 1000, "rate"),
                cell("latency_busy_p50", s, 64, 1, 1, 1, "time"), cell("latency_busy_p99", s, 64, 1, 1, 1, "time"),
                cell("latency_sleeping_p50", s, 64, 1, 1, 1000, "time"),
                cell("fault_writer_killed", s, 1024, 2, 1, 1000, "time")
        }
    }' "$table" >"$build/bench-report.md"
echo "$page"
