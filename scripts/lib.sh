# Shared by the scripts; sourced, not run.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.."

wasm_target=wasm32-unknown-unknown

# True when this toolchain has the standard library of the wasm target.
has_wasm_target() {
    local libdir
    libdir=$(rustc --print target-libdir --target "$wasm_target" 2>/dev/null) || return 1
    compgen -G "$libdir/libstd-*.rlib" >/dev/null
}

# True when the sources of the standard library are here, so that it can be
# built for the wasm target.
has_std_source() {
    [ -f "$(rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

say() { printf '%s\n' "$*" >&2; }
