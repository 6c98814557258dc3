# Sourced by ./demo and ./test: installs what is missing, then configures and builds.

# Debian packages and a file that each brings.
tutti_packages=(
  "g++ /usr/bin/g++"
  "cmake /usr/bin/cmake"
  "ninja-build /usr/bin/ninja"
  "libsimdjson-dev /usr/include/simdjson.h"
  "libdnnl-dev /usr/include/oneapi/dnnl/dnnl.hpp"
  "libgloo-dev /usr/include/gloo/transport/tcp/device.h"
  "libpng-dev /usr/include/png.h"
  "libgtest-dev /usr/include/gtest/gtest.h"
)

# Installs missing packages when root, else prints the one line to run and stops.
tutti_install() {
  local missing=() entry
  for entry in "${tutti_packages[@]}"; do
    [ -e "${entry#* }" ] || missing+=("${entry%% *}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages; run:  sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null
}

# tutti_build TARGET...: configures build/ when needed and builds; shows progress.
tutti_build() {
  [ -f build/build.ninja ] || cmake -S . -B build -G Ninja -Wno-dev >/dev/null
  cmake --build build --target "$@"
}
