# Prints the targets and the variables of a Makefile with their comments:
#     target: prerequisites ## what it does
#     ## [targets that use it] what it means
#     VARIABLE = default
/^## \[/ {
    targets = comment = $0
    sub(/^## \[/, "", targets); sub(/\].*/, "", targets)
    sub(/^[^\]]*\] /, "", comment)
    next
}
comment != "" {
    name = value = $0
    sub(/ *=.*/, "", name); sub(/^[^=]*= */, "", value)
    variables[++count_variables] = name
    means[name] = comment (value == "" ? "" : " (default " value ")")
    split(targets, users, " ")
    for (user in users) uses[users[user]] = uses[users[user]] " " name
    # split() numbers from 1, but `for in` has no order; none is needed: one variable is added at a time.
    comment = ""
    next
}
/^[a-z][a-z-]*:.*## / {
    name = does = $0
    sub(/:.*/, "", name); sub(/.*## /, "", does)
    order[++count] = name
    purpose[name] = does
}
END {
    print "make TARGET [VARIABLE=value ...]\n"
    for (i = 1; i <= count; i++) {
        printf "  %-13s %s\n", order[i], purpose[order[i]]
        if (uses[order[i]] != "") printf "  %-13s  %s\n", "", uses[order[i]]
    }
    print "\nVariables"
    for (i = 1; i <= count_variables; i++) printf "  %-13s %s\n", variables[i], means[variables[i]]
}
