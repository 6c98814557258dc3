// SPDX-License-Identifier: Apache-2.0
#include "comm/job/slurm.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr size_t kMostHosts = 1 << 16;

// Reads a text from left to right.
class Reader {
 public:
  Reader(const std::string& text, const std::string& variable) : text_(text), variable_(variable) {}

  bool done() const { return at_ == text_.size(); }
  bool take(char c) {
    const bool there = !done() && text_[at_] == c;
    at_ += there;
    return there;
  }
  void want(bool condition, std::string_view what) const {
    require_argument(condition, "environment: ", variable_, " is '", text_, "'; ", what,
                     " is wanted at character ", at_ + 1);
  }
  std::string until(std::string_view ends) {
    const size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    const std::string piece = text_.substr(at_, end - at_);
    at_ = end;
    return piece;
  }
  // The digits that stand here: leading zeros count.
  std::string digits() {
    const size_t start = at_;
    while (!done() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    want(at_ > start && at_ - start <= 8, "a number of at most 8 digits");
    return text_.substr(start, at_ - start);
  }
  int number() { return std::stoi(digits()); }

 private:
  const std::string& text_;
  const std::string& variable_;
  size_t at_ = 0;
};

// The numbers of "[1-3,07]", after its first character.
std::vector<std::string> expand_numbers(Reader& reader) {
  std::vector<std::string> numbers;
  do {
    const std::string first = reader.digits();
    const int low = std::stoi(first);
    const int high = reader.take('-') ? reader.number() : low;
    reader.want(high >= low && static_cast<size_t>(high - low) + numbers.size() < kMostHosts,
                "a range upwards of at most 65536 hosts");
    for (int n = low; n <= high; ++n) {
      const std::string digits = std::to_string(n);
      const size_t zeros = std::max(first.size(), digits.size()) - digits.size();
      numbers.push_back(std::string(zeros, '0') + digits);
    }
  } while (reader.take(','));
  reader.want(reader.take(']'), "']'");
  return numbers;
}

// The variable that says how many tasks run on which host.
std::string local_name(const Variables& variables) {
  return variables.first_of({"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE",
                             "SLURM_NTASKS_PER_NODE", "SLURM_STEP_TASKS_PER_NODE"});
}

int local_tasks(const Variables& variables, const std::string& name) {
  const std::vector<int> counts = expand_counts(variables.wanted(name, "SLURM_PROCID"), name);
  const auto is_first = [&](int count) { return count == counts[0]; };
  if (std::all_of(counts.begin(), counts.end(), is_first)) return counts[0];
  const int node = variables.number("SLURM_NODEID", name, 0, static_cast<int>(counts.size()) - 1);
  return counts[static_cast<size_t>(node)];
}

}  // namespace

std::vector<int> expand_counts(const std::string& text, const std::string& variable) {
  Reader reader(text, variable);
  std::vector<int> counts;
  do {
    const int count = reader.number();
    int times = 1;
    if (reader.take('(')) {
      reader.want(reader.take('x'), "'x'");
      times = reader.number();
      reader.want(reader.take(')'), "')'");
    }
    reader.want(times >= 1 && counts.size() + static_cast<size_t>(times) <= kMostHosts,
                "1 to 65536 hosts");
    counts.insert(counts.end(), static_cast<size_t>(times), count);
  } while (reader.take(','));
  reader.want(reader.done(), "','");
  return counts;
}

std::vector<std::string> expand_hosts(const std::string& text, const std::string& variable) {
  Reader reader(text, variable);
  std::vector<std::string> hosts;
  do {
    std::vector<std::string> names = {""};
    for (;;) {
      const std::string piece = reader.until(",[");
      for (std::string& name : names) name += piece;
      if (!reader.take('[')) break;
      const std::vector<std::string> numbers = expand_numbers(reader);
      reader.want(names.size() * numbers.size() <= kMostHosts, "at most 65536 hosts");
      std::vector<std::string> longer;
      for (const std::string& name : names)
        for (const std::string& number : numbers) longer.push_back(name + number);
      names = std::move(longer);
    }
    reader.want(!names[0].empty() && hosts.size() + names.size() <= kMostHosts, "a host's name");
    hosts.insert(hosts.end(), names.begin(), names.end());
  } while (reader.take(','));
  return hosts;
}

bool is_slurm_task(const Variables& variables) {
  const auto step = variables.find("SLURM_STEP_ID");
  if (!step) return false;
  // The shells that sbatch and salloc start are steps with numbers from the end.
  constexpr uint32_t kFirstSpecial = 0xfffffff0;
  uint32_t number = 0;
  const auto read = std::from_chars(step->data(), step->data() + step->size(), number);
  return read.ec != std::errc() || number < kFirstSpecial;
}

void read_slurm(const Variables& variables, JobEnvironment& job) {
  job.launcher = "srun";
  job.job = join("srun ", variables.wanted("SLURM_JOB_ID", "SLURM_STEP_ID"), ".",
                 variables.wanted("SLURM_STEP_ID", "SLURM_PROCID"));
  const std::string size =
      variables.first_of({"SLURM_STEP_NUM_TASKS", "SLURM_NPROCS", "SLURM_NTASKS"});
  const std::string local = local_name(variables);
  read_ranks(variables, {"SLURM_PROCID", size, "SLURM_LOCALID", local}, job,
             local_tasks(variables, local));
  const std::string list = "SLURM_STEP_NODELIST";
  job.master_host = variables.text("MASTER_ADDR", "");
  if (!job.master_host.empty()) return;
  job.master_host = variables.has(list) ? expand_hosts(variables.text(list, ""), list)[0]
                                        : variables.text("SLURM_LAUNCH_NODE_IPADDR", "");
}

}  // namespace tutti::comm
