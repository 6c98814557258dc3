// SPDX-License-Identifier: Apache-2.0
// What every store does.
#include "comm/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "comm/store/tcp_store.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

using testing::HasSubstr;

// The stores of two ranks.
struct Pair {
  std::unique_ptr<TcpStoreServer> server;
  std::shared_ptr<Store> a, b;
};

Pair make_stores(bool tcp) {
  if (!tcp) {
    const auto store = local_store();
    return {nullptr, store, store};
  }
  Pair pair;
  pair.server = std::make_unique<TcpStoreServer>("127.0.0.1", 0, "secret");
  const Endpoint at{"127.0.0.1", pair.server->port()};
  pair.a = connect_store(at, "secret", 20);
  pair.b = connect_store(at, "secret", 20);
  return pair;
}

class Stores : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(All, Stores, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tcp" : "Local"; });

template <class F>
Errc code_of(const F& body, std::string& text) {
  try {
    body();
  } catch (const Error& error) {
    text = error.what();
    return error.code();
  }
  text = "nothing was thrown";
  return Errc::internal;
}

TEST_P(Stores, GiveWhatAnotherRankSet) {
  const Pair p = make_stores(GetParam());
  const std::string bytes("\0\xff\n", 3);
  p.a->set("some bytes", bytes);
  EXPECT_EQ(p.b->get("some bytes", 20), bytes);
  p.b->set("nothing", "");
  EXPECT_EQ(p.a->get("nothing", 20), "");
}

TEST_P(Stores, ReplaceAValue) {
  const Pair p = make_stores(GetParam());
  p.a->set("k", "first");
  p.b->set("k", "second");
  EXPECT_EQ(p.a->get("k", 20), "second");
}

TEST_P(Stores, KnowWhetherAKeyIsThere) {
  const Pair p = make_stores(GetParam());
  EXPECT_FALSE(p.a->check("k"));
  p.a->set("k", "");
  EXPECT_TRUE(p.b->check("k"));
}

TEST_P(Stores, WaitForAKeyThatIsSetLater) {
  const Pair p = make_stores(GetParam());
  std::string found;
  std::thread waits([&] { found = p.a->get("late", 20); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  p.b->set("other", "x");
  p.b->set("late", "it came");
  waits.join();
  EXPECT_EQ(found, "it came");
}

TEST_P(Stores, NameTheKeyThatDidNotCome) {
  const Pair p = make_stores(GetParam());
  std::string text;
  EXPECT_EQ(code_of([&] { p.a->get("host/3", 0.05); }, text), Errc::timeout) << text;
  EXPECT_THAT(text, HasSubstr("key 'host/3' did not come within 0.05 s"));
  p.b->set("host/3", "now");
  EXPECT_EQ(p.a->get("host/3", 20), "now");
}

TEST_P(Stores, TakeTheLargestValueAndRefuseLarger) {
  const Pair p = make_stores(GetParam());
  std::string value(Store::kMostValueBytes, 'v'), text;
  const std::string key(Store::kMostKeyBytes, 'k');
  p.a->set(key, value);
  EXPECT_TRUE(p.b->get(key, 20) == value);
  const auto set = [&](const std::string& k, const std::string& v) {
    return code_of([&] { p.a->set(k, v); }, text);
  };
  EXPECT_EQ(set("k", value + "v"), Errc::invalid_argument);
  EXPECT_EQ(set(key + "k", ""), Errc::invalid_argument);
  EXPECT_EQ(set("", ""), Errc::invalid_argument);
  EXPECT_THAT(text, HasSubstr("1 to 512"));
}

TEST_P(Stores, ServeThreadsAtOnce) {
  const Pair p = make_stores(GetParam());
  std::vector<std::thread> threads;
  std::vector<std::string> found(8);
  for (size_t i = 0; i < found.size(); ++i)
    threads.emplace_back([&, i] {
      // Each waits for the next one's word, the last gives the first.
      const std::string next = std::to_string(i + 1);
      const std::string value = i + 1 == found.size() ? "end" : p.a->get(next, 20);
      found[i] = value;
      p.a->set(std::to_string(i), value + std::to_string(i));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found[0], "end7654321");
}

}  // namespace
}  // namespace tutti::comm
