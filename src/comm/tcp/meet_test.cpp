// SPDX-License-Identifier: Apache-2.0
#include "comm/tcp/meet.h"

#include <gtest/gtest.h>

#include "comm/ranks_for_tests.h"
#include "comm/store/socket.h"
#include "comm/tcp/greeting.h"

namespace tutti::comm {
namespace {

/// Where rank 0 of the group listens.
Endpoint door_of(Store& store, const std::string& name) {
  const std::string word = store.get(name + "/rank0", 5);
  return parse_endpoint(word.substr(0, word.find(' ')), "the word");
}

TEST(MeetOverTcp, StrangersAtTheDoorAreTurnedAway) {
  const auto store = local_store();
  const std::string name = fresh_name();
  const auto outcomes = thread_ranks(3, [&](int i) {
    const Arrival arrival{name, i, Layout{2}, 10};
    if (i < 2) {
      // The other one comes when the strangers have spoken.
      if (i == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      const Links links = meet_over_tcp(*store, arrival, "127.0.0.1");
      expect(links.sockets.size() == 2 && links.sockets[1 - static_cast<size_t>(i)].get() >= 0,
             "no link");
      return;
    }
    const Endpoint door = door_of(*store, name);
    const Deadline deadline(5);
    const Fd silent = connect_to(door, deadline), rude = connect_to(door, deadline);
    send_all(rude, std::string(5000, 'x'), deadline);
    // One that knows the words, but not the secret.
    Fd liar = connect_to(door, deadline);
    Hello hello{};
    hello.rank = 1;
    hello.layout.size = 2;
    hello.proof = proof_of(hello, "not the secret", "guest", {hello.nonce, sizeof hello.nonce});
    send_all(liar, bytes_of_message(hello), deadline);
    std::string answer;
    expect(receive_all(liar, answer, 1, deadline) == Moved::ended, "the liar was answered");
  });
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.error, "");
}

TEST(MeetOverTcp, WordsOfAGroupThatHasEndedDoNotHinder) {
  const auto store = local_store();
  const std::string name = fresh_name();
  for (int round = 0; round < 2; ++round) {
    const auto outcomes = thread_ranks(2, [&](int i) {
      meet_over_tcp(*store, {name, i, Layout{2}, 10}, "127.0.0.1");
    });
    for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.error, "");
  }
}

TEST(MeetOverTcp, RefusesAnAddressThatIsNotThisHosts) {
  const auto store = local_store();
  const Outcome outcome = outcome_of([&] {
    meet_over_tcp(*store, {fresh_name(), 0, Layout{2}, 1}, "192.0.2.1");
  });
  EXPECT_EQ(outcome.code, Errc::io);
  EXPECT_EQ(outcome.error.find("cannot listen on 192.0.2.1:0: "), 0u) << outcome.error;
}

}  // namespace
}  // namespace tutti::comm
