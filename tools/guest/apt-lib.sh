# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced: package look-ups for a guest's architecture with this host's sources and keys, changing nothing of the host.

# guest_apt_setup ARCH STATE-DIR
guest_apt_setup() {
	guest_apt_state=$2
	mkdir -p "$guest_apt_state"/{lists/partial,cache/archives/partial}
	guest_apt_state=$(cd "$guest_apt_state" && pwd)
	: >"$guest_apt_state/status"
	guest_apt_options=(
		-o "APT::Architecture=$1" -o "APT::Architectures=$1"
		-o "Dir::State::lists=$guest_apt_state/lists" -o "Dir::State::status=$guest_apt_state/status"
		-o "Dir::Cache=$guest_apt_state/cache" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
	)
	if [ ! -e "$guest_apt_state/updated" ]; then
		# One source that fails (a mirror in the middle of its update) does not matter while another has the package.
		apt-get "${guest_apt_options[@]}" -qq -o Acquire::Retries=3 update 2>/dev/null || true
		touch "$guest_apt_state/updated"
	fi
}

guest_apt_cache() {
	apt-cache "${guest_apt_options[@]}" "$@"
}

# Downloads into the current folder.
guest_apt_download() {
	apt-get "${guest_apt_options[@]}" -qq download "$@"
}
