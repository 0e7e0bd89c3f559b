# Sourced by the Makefile: what a target needs of Debian is installed, or named with the one command to type.

# need COMMAND:PACKAGE... — every command is there afterwards, or this fails.
need() {
	missing=
	for pair in "$@"; do
		command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
	done
	[ -z "$missing" ] && return 0
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		echo "installing $missing"
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
		return
	fi
	echo "missing: install with"
	echo "    sudo apt-get install $missing"
	return 1
}

# need_venv PYTHON — that interpreter is new enough and can make virtual environments.
need_venv() {
	if ! command -v "$1" >/dev/null 2>&1; then
		need "$1:python3" || return 1
	fi
	"$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
		echo "$1 is older than Python 3.11: name another one with PYTHON=..."
		return 1
	}
	"$1" -c 'import ensurepip' 2>/dev/null || need "-:python3-venv"
}
