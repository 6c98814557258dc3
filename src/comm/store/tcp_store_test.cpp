// SPDX-License-Identifier: Apache-2.0
// Strangers, other secrets, servers that go, addresses of all kinds.
#include "comm/store/tcp_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <future>
#include <thread>
#include <vector>

#include "comm/store/handshake.h"
#include "comm/store/request.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kPatience_s = 30;
const std::string kSecret = "0123456789abcdef0123456789abcdef";

Endpoint here(const TcpStoreServer& server) { return {"127.0.0.1", server.port()}; }

struct Failure {
  Errc code = Errc::internal;
  std::string text = "nothing was thrown";
};

Failure failure_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

// A connection that says only what the test says.
Fd stranger(const TcpStoreServer& server) {
  return connect_to(here(server), Deadline(kPatience_s));
}

bool is_closed(const Fd& socket) {
  const Deadline deadline(kPatience_s);
  std::string byte;
  for (;;) {
    const Moved moved = receive_all(socket, byte, 1, deadline);
    if (moved != Moved::all) return moved == Moved::ended;
  }
}

bool comes_true(const std::function<bool()>& condition) {
  const Deadline deadline(kPatience_s);
  while (!condition() && !deadline.passed())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return condition();
}

// The client's side of the handshake by hand.
Fd member(const TcpStoreServer& server) {
  Fd socket = stranger(server);
  const Deadline deadline(kPatience_s);
  std::string text;
  const std::string nonce(Handshake::kNonceBytes, 'n');
  EXPECT_EQ(receive_all(socket, text, Handshake::kGreetingBytes, deadline), Moved::all);
  const Digest proof =
      Handshake::proof(kSecret, "client", text.substr(Handshake::kName.size()), nonce);
  send_all(socket, nonce + std::string(bytes_of(proof)), deadline);
  EXPECT_EQ(receive_all(socket, text, Handshake::kVerdictBytes, deadline), Moved::all);
  EXPECT_EQ(text[0], Handshake::kWelcome);
  return socket;
}

// Four ranks that exchange a word with each other.
void let_four_ranks_meet(const TcpStoreServer& server) {
  std::vector<std::future<void>> ranks;
  for (int rank = 0; rank < 4; ++rank)
    ranks.push_back(std::async(std::launch::async, [&server, rank] {
      const auto store = connect_store(here(server), kSecret, kPatience_s);
      store->set(join("rank/", rank), join("word of ", rank));
      for (int peer = 0; peer < 4; ++peer)
        EXPECT_EQ(store->get(join("rank/", peer), kPatience_s), join("word of ", peer));
    }));
  for (auto& rank : ranks) rank.get();
}

TEST(TcpStore, LetsRanksMeetAmong200Strangers) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  std::vector<Fd> strangers;
  for (int i = 0; i < 200; ++i) {
    strangers.push_back(stranger(server));
    const std::string garbage(static_cast<size_t>(i), static_cast<char>(i));
    if (i % 2 == 1) send_all(strangers.back(), garbage, Deadline(kPatience_s));
  }
  let_four_ranks_meet(server);
  strangers.clear();
  EXPECT_TRUE(comes_true([&] { return server.dropped() >= 200; })) << server.dropped();
}

TEST(TcpStore, DropsWhoSpeaksTooSlowly) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const Fd slow = stranger(server);
  // A byte now and then restarts no deadline: at this pace the proof would take 6 s.
  const Deadline whole(6);
  while (!whole.passed() && send_all(slow, "x", whole) == Moved::all && server.dropped() == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(server.dropped(), 1u);
}

TEST(TcpStore, DropsStrangersButNoMembersThatSayNothing) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const Fd idle = member(server);
  const Fd silent = stranger(server);
  EXPECT_TRUE(is_closed(silent));
  EXPECT_EQ(server.dropped(), 1u);
  send_all(idle, frame_of(Request{Request::check, "k", {}}), Deadline(kPatience_s));
  std::string head;
  EXPECT_EQ(receive_all(idle, head, kFrameHead, Deadline(kPatience_s)), Moved::all);
}

TEST(TcpStore, ReadsNoRequestOfAStranger) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const Fd rude = stranger(server);
  std::string frames;
  while (frames.size() < 200) frames += frame_of(Request{Request::set, "planted", "value"});
  send_all(rude, frames, Deadline(kPatience_s));
  EXPECT_TRUE(is_closed(rude));
  EXPECT_FALSE(connect_store(here(server), kSecret, kPatience_s)->check("planted"));
  EXPECT_EQ(server.dropped(), 1u);
}

TEST(TcpStore, TakesNoProofTwice) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const Deadline deadline(kPatience_s);
  std::string greeting, verdict;
  const Fd first = stranger(server);
  ASSERT_EQ(receive_all(first, greeting, Handshake::kGreetingBytes, deadline), Moved::all);
  const std::string nonce(Handshake::kNonceBytes, 'n');
  const std::string said =
      nonce + std::string(bytes_of(Handshake::proof(
                  kSecret, "client", greeting.substr(Handshake::kName.size()), nonce)));
  send_all(first, said, deadline);
  ASSERT_EQ(receive_all(first, verdict, Handshake::kVerdictBytes, deadline), Moved::all);
  EXPECT_EQ(verdict[0], Handshake::kWelcome);
  const Fd again = stranger(server);
  send_all(again, said, deadline);
  ASSERT_EQ(receive_all(again, greeting, Handshake::kGreetingBytes, deadline), Moved::all);
  ASSERT_EQ(receive_all(again, verdict, Handshake::kVerdictBytes, deadline), Moved::all);
  EXPECT_EQ(verdict[0], Handshake::kRefusal);
}

TEST(TcpStore, RefusesAnotherSecretAtOnce) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const Failure failure = failure_of([&] { connect_store(here(server), "guessed", 600); });
  EXPECT_EQ(failure.code, Errc::comm);
  EXPECT_THAT(failure.text, HasSubstr(join("store 127.0.0.1:", server.port())));
  EXPECT_THAT(failure.text, HasSubstr("another secret"));
  EXPECT_TRUE(comes_true([&] { return server.dropped() == 1; }));
}

// Somebody who listens in the server's place and learns what clients say.
struct Impostor {
  Fd listener = listen_on("127.0.0.1", 0);
  std::string heard;
  std::thread thread;

  explicit Impostor(const std::string& answer)
      : thread([this, answer] {
          pollfd p{listener.get(), POLLIN, 0};
          poll(&p, 1, 30000);
          const Fd socket = accept_from(listener);
          const Deadline deadline(kPatience_s);
          const std::string nonce(Handshake::kNonceBytes, 'n');
          send_all(socket, std::string(Handshake::kName) + nonce, deadline);
          receive_all(socket, heard, Handshake::kClientBytes, deadline);
          // The client's own proof, when there is no other answer.
          send_all(socket, answer.empty() ? "+" + heard.substr(Handshake::kNonceBytes) : answer,
                   deadline);
        }) {}
  Failure failure_of_client() {
    const Failure failure = failure_of([&] {
      connect_store({"127.0.0.1", port_of(listener)}, kSecret, 600);
    });
    thread.join();
    return failure;
  }
};

TEST(TcpStore, TrustsNoServerWithoutTheSecret) {
  for (const std::string answer : {"", "+012345678901234567890123456789ab"}) {
    Impostor impostor(answer);
    const Failure failure = impostor.failure_of_client();
    EXPECT_EQ(failure.code, Errc::comm) << failure.text;
    EXPECT_THAT(failure.text, HasSubstr("another secret"));
    EXPECT_THAT(impostor.heard, Not(HasSubstr(kSecret.substr(0, 8))));
  }
}

TEST(TcpStore, DropsAMemberThatSendsNonsense) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  const std::string huge = "\xff\xff\xff\xff", unknown = std::string("\2\0\0\0\7k", 6),
                    long_key = std::string("\4\0\0\0\0\xff\xffk", 8);
  for (const std::string& nonsense : {huge, unknown, long_key}) {
    const Fd socket = member(server);
    send_all(socket, nonsense, Deadline(kPatience_s));
    EXPECT_TRUE(is_closed(socket));
  }
  connect_store(here(server), kSecret, kPatience_s)->set("still", "there");
}

TEST(TcpStore, SaysThatTheServerHasGone) {
  auto server = std::make_unique<TcpStoreServer>("127.0.0.1", 0, kSecret);
  const auto store = connect_store(here(*server), kSecret, kPatience_s);
  std::thread ends([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    server.reset();
  });
  const Failure waiting = failure_of([&] { store->get("never", 600); });
  ends.join();
  EXPECT_EQ(waiting.code, Errc::comm) << waiting.text;
  EXPECT_THAT(waiting.text, HasSubstr("has gone"));
}

TEST(TcpStore, WaitsForAServerThatStartsLater) {
  const int port = TcpStoreServer("127.0.0.1", 0, kSecret).port();
  auto client = std::async(std::launch::async, [&] {
    connect_store({"127.0.0.1", port}, kSecret, kPatience_s)->set("k", "v");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const TcpStoreServer server("127.0.0.1", port, kSecret);
  client.get();
  EXPECT_TRUE(connect_store(here(server), kSecret, kPatience_s)->check("k"));
}

TEST(TcpStore, NamesAnAddressWhereNobodyListens) {
  const int port = TcpStoreServer("127.0.0.1", 0, kSecret).port();
  const Failure failure = failure_of([&] { connect_store({"127.0.0.1", port}, kSecret, 0.05); });
  EXPECT_EQ(failure.code, Errc::timeout);
  EXPECT_THAT(failure.text, HasSubstr(join("127.0.0.1:", port, " within 0.05 s")));
  EXPECT_THAT(failure.text, HasSubstr("refused"));
}

TEST(TcpStore, WaitsForASilentServerOnlyUntilItsDeadline) {
  const Fd silent = listen_on("127.0.0.1", 0);
  const Failure failure = failure_of([&] {
    connect_store({"127.0.0.1", port_of(silent)}, kSecret, 0.1);
  });
  EXPECT_EQ(failure.code, Errc::timeout);
  EXPECT_THAT(failure.text, HasSubstr("did not answer as a store within 0.1 s"));
}

TEST(TcpStore, NamesAPortThatIsTaken) {
  const TcpStoreServer server("127.0.0.1", 0, kSecret);
  for (const std::string address : {"", "127.0.0.1"}) {
    const Failure failure =
        failure_of([&] { TcpStoreServer second(address, server.port(), kSecret); });
    EXPECT_EQ(failure.code, Errc::io) << address;
    EXPECT_THAT(failure.text, HasSubstr(join(":", server.port(), ": Address already in use")));
  }
}

TEST(TcpStore, HasASecret) {
  EXPECT_EQ(failure_of([] { TcpStoreServer server("127.0.0.1", 0, ""); }).code,
            Errc::invalid_argument);
  EXPECT_EQ(failure_of([] {
              connect_store({"127.0.0.1", 1}, "", 1);
            }).code,
            Errc::invalid_argument);
}

TEST(TcpStore, ListensOnNamesAndBothVersionsOfIp) {
  const auto meets = [](const std::string& address, const std::string& host) {
    const TcpStoreServer server(address, 0, kSecret);
    connect_store({host, server.port()}, kSecret, kPatience_s)->set("k", address);
  };
  meets("", "127.0.0.1");
  meets("localhost", "localhost");
  std::string reason;
  if (failure_of([] { listen_on("::1", 0); }).code == Errc::io)
    GTEST_SKIP() << "this machine has no IPv6";
  meets("::1", "::1");
  meets("", "::1");
}

TEST(TcpStore, LeavesNoSocketToProgramsThatAreStarted) {
  const Fd listener = listen_on("", 0);
  const Fd client = connect_to({"127.0.0.1", port_of(listener)}, Deadline(kPatience_s));
  const Fd accepted = accept_from(listener);
  for (const Fd* fd : {&listener, &client, &accepted})
    EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST(Endpoint, IsReadAndWritten) {
  for (const char* text : {"host:1", "10.0.0.1:29500", "[fe80::1]:65535"})
    EXPECT_EQ(to_string(parse_endpoint(text, "x")), text);
  for (const char* text : {"host", "host:", ":1", "host:0", "host:65536", "host:1x", ""})
    EXPECT_THAT(failure_of([&] { parse_endpoint(text, "TUTTI_STORE"); }).text,
                HasSubstr(join("TUTTI_STORE is '", text, "'; HOST:PORT is wanted")));
}

}  // namespace
}  // namespace tutti::comm
