// SPDX-License-Identifier: Apache-2.0
#include "comm/job/variables.h"

#include <charconv>

#include "core/error.h"

namespace tutti::comm {

std::optional<std::string> Variables::find(const std::string& name) const {
  auto value = lookup_(name);
  return value && value->empty() ? std::nullopt : value;
}

std::string Variables::wanted(const std::string& name, const std::string& beside) const {
  const auto value = find(name);
  require_argument(value.has_value(), "environment: ", name, " is missing beside ", beside,
                   "; the launcher of the ranks must set both");
  return *value;
}

int Variables::number(const std::string& name, const std::string& beside, int least,
                      int most) const {
  const std::string text = wanted(name, beside);
  int value = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  require_argument(read.ec == std::errc() && read.ptr == end && value >= least && value <= most,
                   "environment: ", name, " is '", text, "'; a whole number of ", least, " to ",
                   most, " is wanted");
  return value;
}

std::string Variables::first_of(std::initializer_list<const char*> names) const {
  for (const char* name : names)
    if (has(name)) return name;
  return *(names.end() - 1);
}

void read_ranks(const Variables& variables, const RankNames& names, JobEnvironment& job,
                std::optional<int> local_size) {
  constexpr int kMostNumber = 1 << 24;  // more is a mistake
  const std::string beside =
      variables.first_of({names.rank.c_str(), names.size.c_str(), names.local_rank.c_str()});
  variables.wanted(names.rank, beside);
  job.size = variables.number(names.size, beside, 1, kMostNumber);
  job.local_size =
      local_size ? *local_size : variables.number(names.local_size, beside, 1, kMostNumber);
  require_argument(job.local_size >= 1 && job.local_size <= job.size,
                   "environment: ", names.local_size, " says ", job.local_size,
                   " ranks on this host; 1 to ", names.size, ", ", job.size, ", are possible");
  job.rank = variables.number(names.rank, beside, 0, job.size - 1);
  job.local_rank = variables.number(names.local_rank, beside, 0, job.local_size - 1);
  require_argument(job.local_rank <= job.rank, "environment: ", names.local_rank, " is ",
                   job.local_rank, "; at most ", names.rank, ", ", job.rank, ", is wanted");
  require_argument(job.local_size < job.size || job.local_rank == job.rank,
                   "environment: ", names.local_rank, " is ", job.local_rank, " and ", names.rank,
                   " is ", job.rank, "; the same is wanted, since all ranks are on this host");
}

}  // namespace tutti::comm
