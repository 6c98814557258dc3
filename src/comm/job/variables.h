// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "comm/job/environment.h"

namespace tutti::comm {

/// Variables that were looked up: what is missing or wrong is an error that names it.
class Variables {
 public:
  explicit Variables(const Lookup& lookup) : lookup_(lookup) {}

  std::optional<std::string> find(const std::string& name) const;
  bool has(const std::string& name) const { return find(name).has_value(); }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return find(name).value_or(otherwise);
  }
  /// Throws when it is missing; `beside` is a variable that is there and promises it.
  std::string wanted(const std::string& name, const std::string& beside) const;
  /// A whole number of `least` to `most`.
  int number(const std::string& name, const std::string& beside, int least, int most) const;
  /// The first of the names that is there; the last when none is.
  std::string first_of(std::initializer_list<const char*> names) const;

 private:
  const Lookup& lookup_;
};

/// The names of the variables that number ranks.
struct RankNames {
  std::string rank, size, local_rank, local_size;
};

/// Reads the four numbers, but for local_size when the caller knows it, and checks them against
/// each other.
void read_ranks(const Variables& variables, const RankNames& names, JobEnvironment& job,
                std::optional<int> local_size = {});

/// Ports run to here.
inline constexpr int kMostPort = 65535;

}  // namespace tutti::comm
