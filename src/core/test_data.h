// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace tutti {

/// The path of a file below tests/models. For test programs only.
inline std::string test_model(std::string_view name) {
  return std::string(TUTTI_SOURCE_DIR "/tests/models/").append(name);
}

}  // namespace tutti
