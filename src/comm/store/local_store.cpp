// SPDX-License-Identifier: Apache-2.0
#include <condition_variable>
#include <map>
#include <mutex>

#include "comm/deadline.h"
#include "comm/store/request.h"

namespace tutti::comm {
namespace {

class LocalStore : public Store {
 public:
  void set(const std::string& key, const std::string& value) override {
    check_request({Request::set, key, value});
    const std::lock_guard lock(mutex_);
    values_[key] = value;
    changed_.notify_all();
  }

  std::string get(const std::string& key, double deadline_s) override {
    check_request({Request::get, key, {}});
    const Deadline deadline(deadline_s);
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline.at(), [&] { return values_.contains(key); }))
      fail(Errc::timeout, absent_text("of this process", key, deadline_s));
    return values_.at(key);
  }

  bool check(const std::string& key) override {
    check_request({Request::check, key, {}});
    const std::lock_guard lock(mutex_);
    return values_.contains(key);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> values_;
};

}  // namespace

std::shared_ptr<Store> local_store() { return std::make_shared<LocalStore>(); }

}  // namespace tutti::comm
