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
  Membership join(const Arrival& arrival) override {
    std::unique_lock lock(mutex_);
    std::shared_ptr<Meeting>& place = meetings_[arrival.name];
    if (!place) place = std::make_shared<Meeting>(arrival.layout);
    const std::shared_ptr<Meeting> meeting = place;
    enter(*meeting, arrival);
    const auto ready = [&] { return meeting->failed || meeting->count == meeting->layout.size; };
    const int64_t until = now_ns() + static_cast<int64_t>(arrival.timeout_s * 1e9);
    while (!ready() && !changed_.wait_for(lock, std::chrono::nanoseconds(kLookNs), ready)) {
      if (arrival.look_about) arrival.look_about();
      if (now_ns() >= until) meeting->refuse(Errc::timeout, missing_text(arrival, meeting->came));
    }
    if (const auto at = meetings_.find(arrival.name);
        at != meetings_.end() && at->second == meeting)
      meetings_.erase(at);
    changed_.notify_all();
    if (meeting->failed) fail(meeting->code, meeting->text);
    Membership m;
    m.name = arrival.name;
    m.segment = meeting->segment;
    m.rank = arrival.rank;
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
    Errc code = Errc::internal;
    std::string text;

    void refuse(Errc c, std::string t) {
      if (failed) return;
      failed = true;
      code = c;
      text = std::move(t);
    }
  };

  static void enter(Meeting& meeting, const Arrival& arrival) {
    if (meeting.failed) return;
    const auto r = static_cast<size_t>(arrival.rank);
    if (arrival.layout != meeting.layout)
      return meeting.refuse(Errc::invalid_argument, size_text(arrival, meeting.layout));
    if (meeting.came[r]) return meeting.refuse(Errc::invalid_argument, twice_text(arrival));
    meeting.came[r] = true;
    ++meeting.count;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Meeting>> meetings_;
};

}  // namespace

std::shared_ptr<Rendezvous> meet_in_process() { return std::make_shared<ThreadHub>(); }

}  // namespace tutti::comm
