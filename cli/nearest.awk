# nearest.awk -- NAME KNOWN...: prints "; did you mean KNOWN?" for the known name with the fewest changed letters,
# or nothing where even that one has more than half of its letters different. awk, since it must work before there is
# a Python.
function least(a, b) { return a < b ? a : b }
function distance(from, to,    i, j, left, above, diagonal, row) {
    for (j = 0; j <= length(to); j++) row[j] = j
    for (i = 1; i <= length(from); i++) {
        diagonal = row[0]
        row[0] = i
        for (j = 1; j <= length(to); j++) {
            above = row[j]
            left = row[j - 1]
            row[j] = least(least(above, left) + 1, diagonal + (substr(from, i, 1) != substr(to, j, 1)))
            diagonal = above
        }
    }
    return row[length(to)]
}
BEGIN {
    best = 999
    for (i = 2; i < ARGC; i++) {
        away = distance(toupper(ARGV[1]), ARGV[i])
        if (away < best && away * 2 <= length(ARGV[i])) {
            best = away
            nearest = ARGV[i]
        }
    }
    if (nearest != "") printf "; did you mean %s?", nearest
}
