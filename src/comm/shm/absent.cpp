// SPDX-License-Identifier: Apache-2.0
// Who is missing.
#include <poll.h>

#include <fstream>

#include "comm/shm/group.h"
#include "core/error.h"

namespace tutti::comm {

bool Group::is_dead(int r) const {
  if (m_.processes.empty() || m_.processes[static_cast<size_t>(r)].get() < 0) return false;
  pollfd p{m_.processes[static_cast<size_t>(r)].get(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

bool Group::is_stopped(int r) const {
  if (is_threads()) return false;
  std::ifstream file(join("/proc/", m_.segment->rank(r).pid.load(), "/stat"));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < line.size() && line[name_end + 2] == 'T';
}

View::Fate Group::fate(int r) const {
  if (activity(r).left.load(std::memory_order_acquire) != 0) return Fate::left;
  if (is_dead(r)) return Fate::died;
  return is_stopped(r) ? Fate::stopped : Fate::late;
}

void Group::fail_for(uint64_t ranks, bool late, const Record& record) {
  fail(late ? Errc::timeout : Errc::comm, absence_text(*this, ranks, late, record.read()));
}

void Group::check_missing(uint32_t step, bool late, const Record& record) {
  // Allocates only when there is something to say: slow ranks come here all the time.
  uint64_t missing = 0, dead = 0;
  const auto came = [&](int r) {
    return static_cast<int32_t>(block(r).arrived.load(std::memory_order_acquire) - step) >= 0;
  };
  for (int r = 0; r < size(); ++r) {
    if (came(r)) continue;
    const bool gone = is_gone(r);
    // It may have come, done all it had to do and gone since.
    if (came(r)) continue;
    missing |= uint64_t{1} << r;
    if (gone) dead |= uint64_t{1} << r;
  }
  if (dead != 0) fail_for(dead, false, record);
  if (late && missing != 0) fail_for(missing, true, record);
}

void Group::check_peer(int r, const Record& record, bool late) {
  check();
  const bool gone = is_gone(r);
  if (gone || late) fail_for(uint64_t{1} << r, !gone, record);
}

}  // namespace tutti::comm
