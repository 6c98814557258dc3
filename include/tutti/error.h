// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace tutti {

/// What kind of failure an Error reports.
enum class Errc {
  invalid_argument,  ///< the caller gave something wrong
  unsupported,       ///< well-formed, but this build or machine cannot do it
  not_found,         ///< a name, file or entry does not exist
  corrupt,           ///< a file's bytes contradict its format
  io,                ///< the operating system refused to read or write
  device,            ///< a device or its library failed
  comm,              ///< a peer or transport failed
  timeout,           ///< a deadline passed
  internal,          ///< a defect of tutti itself
};

/// The name of a code as it is spelled above.
std::string_view to_string(Errc code);

/// The one exception of tutti. Its message names the thing, what was found and what was wanted.
class Error : public std::runtime_error {
 public:
  /// Made by tutti; callbacks may throw it as well.
  Error(Errc code, const std::string& message) : std::runtime_error(message), code_(code) {}
  /// The kind of failure.
  Errc code() const { return code_; }

 private:
  Errc code_;
};

}  // namespace tutti
