// SPDX-License-Identifier: Apache-2.0
#include "comm/job/roll.h"

#include <limits.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "comm/store/sha256.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr double kGrace_s = 2;  // beyond the deadline, for rank 0 to tell all the same

// What a rank leaves in the store, line by line.
struct Record {
  std::string size, nonce;
  Member member;

  std::string text() const {
    return join(size, "\n", nonce, "\n", member.host, "\n", member.address, "\n",
                member.store_address);
  }
  static constexpr size_t kLines = 5;
  static Record of(const std::vector<std::string>& lines, size_t at) {
    return {lines[at], lines[at + 1], {lines[at + 2], lines[at + 3], lines[at + 4]}};
  }
};

struct Roll {
  const std::string& name;
  int rank, size;

  std::string key(std::string_view what, int r) const { return join(name, "/", what, "/", r); }
  std::string result_key() const { return join(name, "/roll"); }
};

// Texts in the store begin with how the roll ended: the error's code, or this.
constexpr char kComplete = '*';

std::string missing_text(Store& store, const Roll& roll, double seconds) {
  std::vector<int> missing;
  for (int r = 0; r < roll.size; ++r)
    if (!store.check(roll.key("here", r))) missing.push_back(r);
  return join("group '", roll.name, "': ", missing.size() == 1 ? "rank " : "ranks ",
              join_list(missing), " of ", roll.size, " did not come within ", seconds, " s");
}

// Rank 0: hears all and says how it ended.
std::string gather(Store& store, const Roll& roll, const Deadline& deadline) {
  const auto refusal = [](Errc code, const std::string& text) {
    return static_cast<char>('a' + static_cast<int>(code)) + text;
  };
  std::string all(1, kComplete);
  for (int r = 0; r < roll.size; ++r) {
    try {
      const std::string text = store.get(roll.key("here", r), deadline.left_s());
      const std::string size = text.substr(0, text.find('\n'));
      if (size != std::to_string(roll.size))
        return refusal(Errc::invalid_argument, join("group '", roll.name, "': rank ", r, " wants ",
                                                    size, " ranks, rank 0 wants ", roll.size));
      all += text + "\n";
    } catch (const Error& error) {
      if (error.code() != Errc::timeout) throw;
      return refusal(Errc::timeout, missing_text(store, roll, deadline.seconds()));
    }
  }
  return all;
}

}  // namespace

std::string host_identity() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id") >> std::ws, boot);
  char network[PATH_MAX];
  const ssize_t bytes = readlink("/proc/self/ns/net", network, sizeof network);
  return join(boot, " ", std::string_view(network, bytes > 0 ? static_cast<size_t>(bytes) : 0),
              " user ", geteuid());
}

std::vector<Member> call_roll(Store& store, const std::string& name, int rank, int size,
                              const Member& self, const Deadline& deadline) {
  const Roll roll{name, rank, size};
  const Record own{std::to_string(size), hex_of(random_bytes(8)), self};
  store.set(roll.key("here", rank), own.text());
  if (rank == 0) store.set(roll.result_key(), gather(store, roll, deadline));
  const std::string result = store.get(roll.result_key(), deadline.left_s() + kGrace_s);
  store.set(roll.key("heard", rank), "");
  if (result[0] != kComplete) {
    // Who keeps the store stays until those who came have heard it.
    const Deadline grace(kGrace_s);
    for (int r = 0; rank == 0 && r < size; ++r)
      while (store.check(roll.key("here", r)) && !store.check(roll.key("heard", r)) &&
             !grace.passed())
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    fail(static_cast<Errc>(result[0] - 'a'), result.substr(1));
  }
  const std::vector<std::string> lines = split_text(std::string_view(result).substr(1), '\n');
  std::vector<Member> members;
  for (int r = 0; r < size; ++r) {
    const Record record = Record::of(lines, static_cast<size_t>(r) * Record::kLines);
    require_argument(r != rank || record.nonce == own.nonce, "group '", name,
                     "': two ranks say they are number ", rank);
    members.push_back(record.member);
  }
  return members;
}

void say_farewell(Store& store, const std::string& name, int rank) {
  store.set(join(name, "/farewell/", rank), "");
}

bool await_farewells(Store& store, const std::string& name, int size, const Deadline& deadline) {
  try {
    for (int r = 0; r < size; ++r) store.get(join(name, "/farewell/", r), deadline.left_s());
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string address_of(const std::vector<Member>& members, int rank) {
  const Member& own = members[static_cast<size_t>(rank)];
  if (!own.address.starts_with("127.") && own.address != "::1") return own.address;
  for (const Member& other : members)
    if (other.host != own.host) return other.store_address;
  return own.address;
}

}  // namespace tutti::comm
