// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

namespace tutti {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid_argument";
    case Errc::unsupported:
      return "unsupported";
    case Errc::not_found:
      return "not_found";
    case Errc::corrupt:
      return "corrupt";
    case Errc::io:
      return "io";
    case Errc::device:
      return "device";
    case Errc::comm:
      return "comm";
    case Errc::timeout:
      return "timeout";
    case Errc::internal:
      return "internal";
  }
  return "unknown";
}

}  // namespace tutti
