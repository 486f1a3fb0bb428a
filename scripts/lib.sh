# Shared by the scripts; sourced, not run.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."

wasm_target=wasm32-unknown-unknown
# What only the test of the WASI grant needs.
wasi_target=wasm32-wasip2

# True when this toolchain has the standard library of a target; by default of
# the wasm target.
has_wasm_target() {
    local libdir
    libdir=$(rustc --print target-libdir --target "${1:-$wasm_target}" 2>/dev/null) || return 1
    compgen -G "$libdir/libstd-*.rlib" >/dev/null
}

# The folder of a rustc and cargo that have the source of the standard library,
# so that it can be built for the wasm target: those of the PATH, else those of
# the distribution.
std_source_bin() {
    local bin
    for bin in "$(dirname "$(command -v rustc || echo /usr/bin/rustc)")" /usr/bin; do
        if [ -x "$bin/rustc" ] && [ -x "$bin/cargo" ] &&
            [ -f "$("$bin/rustc" --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
            printf '%s\n' "$bin"
            return
        fi
    done
    return 1
}

say() { printf '%s\n' "$*" >&2; }
