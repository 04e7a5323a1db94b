# From a decision table (lease.table, migrate.table) the Promela inline decide() that a model includes: one guard a row.
#
# A column NAME with value V becomes NAME == NAME_V; the model declares a variable or a macro for each column. The answer
# is in result, code and becomes.

function value(word) {
	gsub(/[^a-z0-9]/, "_", word)
	return word
}

function define(column, word) {
	if (!((column, word) in known)) {
		known[column, word] = ++count[column]
		print "#define " column "_" value(word) " " count[column]
	}
}

# One cell as a condition, or "" for "whatever".
function condition(column, cell,    words, n, i, text) {
	if (cell == "*")
		return ""
	n = split(cell, words, "|")
	for (i = 1; i <= n; i++) {
		define(column, words[i])
		text = text (i > 1 ? " || " : "") column " == " column "_" value(words[i])
	}
	return n > 1 ? "(" text ")" : text
}

/^# act / {
	columns = split(substr($0, 3), name, " ")
	for (i = 1; i <= columns; i++)
		if (name[i] == "=")
			equals = i
}

/^[^#]/ && NF {
	guard = ""
	if (NF != columns || $equals != "=") {
		print FILENAME ":" FNR ": " NF " fields instead of " columns >"/dev/stderr"
		bad = 1
		exit 1
	}
	for (i = 1; i < equals; i++) {
		text = condition(name[i], $i)
		if (text != "")
			guard = guard (guard == "" ? "" : " && ") text
	}
	effect = ""
	for (i = equals + 1; i <= columns; i++) {
		define(name[i], $i)
		effect = effect "; " name[i] " = " name[i] "_" value($i)
	}
	rows = rows "\t:: " guard " ->\n\t\t" substr(effect, 3) "\n"
}

END {
	if (bad)
		exit 1
	print "inline decide()\n{\n\tif\n" rows "\tfi\n}"
}
