// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "comm/shm/rendezvous.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

class ThreadHub : public Rendezvous {
 public:
  Membership join(const std::string& name, int rank, const Layout& layout,
                  double timeout_s) override {
    std::unique_lock lock(mutex_);
    std::shared_ptr<Meeting>& place = meetings_[name];
    if (!place) place = std::make_shared<Meeting>(layout);
    const std::shared_ptr<Meeting> meeting = place;
    enter(*meeting, name, rank, layout);
    const auto ready = [&] { return meeting->failed || meeting->count == meeting->layout.size; };
    if (!changed_.wait_for(lock, std::chrono::duration<double>(timeout_s), ready)) {
      meeting->failed = true;
      meeting->error = {Errc::timeout, missing_text(name, meeting->came, timeout_s)};
    }
    if (ready()) {
      if (const auto at = meetings_.find(name); at != meetings_.end() && at->second == meeting)
        meetings_.erase(at);
      changed_.notify_all();
    }
    if (meeting->failed) fail(meeting->error.first, meeting->error.second);
    Membership m;
    m.name = name;
    m.segment = meeting->segment;
    m.rank = rank;
    return m;
  }

 private:
  struct Meeting {
    explicit Meeting(const Layout& l)
        : layout(l), came(static_cast<size_t>(l.size)), segment(Segment::of_threads(l)) {}
    Layout layout;
    std::vector<bool> came;
    int count = 0;
    std::shared_ptr<Segment> segment;
    bool failed = false;
    std::pair<Errc, std::string> error;
  };

  void enter(Meeting& meeting, const std::string& name, int rank, const Layout& layout) {
    const auto refuse = [&](const std::string& text) {
      meeting.failed = true;
      meeting.error = {Errc::invalid_argument, text};
    };
    if (meeting.failed) return;
    if (layout.size != meeting.layout.size || layout.chunk_bytes != meeting.layout.chunk_bytes)
      return refuse(size_text(name, rank, layout, meeting.layout));
    if (meeting.came[static_cast<size_t>(rank)]) return refuse(twice_text(name, rank));
    meeting.came[static_cast<size_t>(rank)] = true;
    ++meeting.count;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Meeting>> meetings_;
};

}  // namespace

std::shared_ptr<Rendezvous> meet_in_process() { return std::make_shared<ThreadHub>(); }

std::string missing_text(const std::string& name, const std::vector<bool>& came, double timeout_s) {
  std::vector<int> missing;
  for (size_t r = 0; r < came.size(); ++r)
    if (!came[r]) missing.push_back(static_cast<int>(r));
  return join("group '", name, "': ", missing.size() == 1 ? "rank " : "ranks ", join_list(missing),
              " of ", came.size(), " did not come within ", timeout_s, " s");
}

std::string size_text(const std::string& name, int rank, const Layout& found,
                      const Layout& wanted) {
  if (found.size != wanted.size)
    return join("group '", name, "': rank ", rank, " wants ", found.size,
                " ranks, others that came before want ", wanted.size);
  return join("group '", name, "': rank ", rank, " wants chunks of ", found.chunk_bytes,
              " bytes, others that came before want ", wanted.chunk_bytes);
}

std::string twice_text(const std::string& name, int rank) {
  return join("group '", name, "': two ranks say they are number ", rank);
}

}  // namespace tutti::comm
