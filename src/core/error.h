// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/text.h"
#include "tutti/error.h"

namespace tutti {

/// Throws Error(code, parts joined). Parts: strings, numbers, bools and whatever to_string takes.
template <class... Parts>
[[noreturn]] void fail(Errc code, const Parts&... parts) {
  throw Error(code, join(parts...));
}

/// Throws like fail unless `condition` holds; joins the parts only then.
template <class... Parts>
void require(bool condition, Errc code, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(code, parts...);
}

/// A short way to blame the caller: fail with invalid_argument.
template <class... Parts>
void require_argument(bool condition, const Parts&... parts) {
  require(condition, Errc::invalid_argument, parts...);
}

}  // namespace tutti
