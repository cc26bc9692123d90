#include "format/block_cache.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

namespace firn {
namespace {

std::shared_ptr<const Block> MakeBlock(size_t size, uint64_t content) {
  auto block = std::make_shared<Block>(size);
  std::memset(block->writable().data(), static_cast<int>(content & 0xff), size);
  return block;
}

TEST(BlockCache, DecodesEachBlockOnceForManyThreads) {
  constexpr unsigned kThreads = 8;
  constexpr uint64_t kBlocks = 200;
  BlockCache cache(size_t{64} << 20);
  std::barrier start(kThreads);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      for (uint64_t i = 0; i < kBlocks; ++i) {
        const auto block =
            cache.Get({1, BlockKind::kData, i * 4096}, [&] { return MakeBlock(4096, i); });
        ASSERT_EQ(std::to_integer<uint64_t>(block->bytes()[17]), i & 0xff);
      }
    });
  }
  threads.clear();
  const BlockCache::Statistics statistics = cache.statistics();
  EXPECT_EQ(statistics.decoded[static_cast<size_t>(BlockKind::kData)], kBlocks);
  EXPECT_EQ(statistics.hits, kBlocks * (kThreads - 1));
  EXPECT_EQ(statistics.bytes, kBlocks * 4096);
}

TEST(BlockCache, WhoComesWhileABlockIsDecodedWaitsForIt) {
  BlockCacheCounters counters;
  BlockCache cache(size_t{1} << 20, &counters);
  const BlockKey key{1, BlockKind::kMetadata, 0};
  std::shared_ptr<const Block> waited;
  std::jthread waiter;
  const auto block = cache.Get(key, [&] {
    waiter = std::jthread([&] { waited = cache.Get(key, [] { return MakeBlock(1, 1); }); });
    while (counters.hits == 0) std::this_thread::yield();
    return MakeBlock(4096, 7);
  });
  waiter.join();
  EXPECT_EQ(waited, block);
  EXPECT_EQ(counters.DecodedByKind().at("metadata"), 1u);
  EXPECT_EQ(counters.DecodedByKind().at("data"), 0u);
}

TEST(BlockCache, WhatDecodingThrowsReachesWhoWaitsAndIsForgotten) {
  BlockCache cache(size_t{1} << 20);
  const BlockKey key{1, BlockKind::kData, 0};
  bool thrown = false;
  std::jthread waiter;
  EXPECT_THROW(cache.Get(key,
                         [&]() -> std::shared_ptr<const Block> {
                           waiter = std::jthread([&] {
                             try {
                               cache.Get(key, [] { return MakeBlock(1, 1); });
                             } catch (const std::runtime_error&) {
                               thrown = true;
                             }
                           });
                           while (cache.statistics().hits == 0) std::this_thread::yield();
                           throw std::runtime_error("damaged");
                         }),
               std::runtime_error);
  waiter.join();
  EXPECT_TRUE(thrown);
  EXPECT_EQ(cache.Get(key, [] { return MakeBlock(5, 1); })->bytes().size(), 5u);
}

TEST(BlockCache, StaysWithinItsBound) {
  BlockCache cache(size_t{1} << 20);
  for (uint64_t i = 0; i < 4096; ++i) {
    cache.Get({1, BlockKind::kData, i}, [&] { return MakeBlock(4096, i); });
  }
  EXPECT_LE(cache.statistics().bytes, cache.statistics().capacity);
  EXPECT_GT(cache.statistics().bytes, cache.statistics().capacity / 2);
}

TEST(BlockCache, KeepsWhatIsUsedAndDropsWhatIsNot) {
  BlockCache cache(size_t{1} << 20);
  int decoded = 0;
  const BlockKey used{1, BlockKind::kData, 1u << 30};
  const auto decode = [&] {
    ++decoded;
    return MakeBlock(4096, 1);
  };
  for (uint64_t i = 0; i < 4096; ++i) {
    cache.Get(used, decode);
    cache.Get({1, BlockKind::kData, i}, [&] { return MakeBlock(4096, i); });
  }
  EXPECT_EQ(decoded, 1);
}

TEST(BlockCache, DistinguishesImagesAndKinds) {
  BlockCache cache(size_t{1} << 20);
  const BlockKey keys[] = {
      {1, BlockKind::kData, 7}, {2, BlockKind::kData, 7}, {1, BlockKind::kFragment, 7}};
  uint64_t content = 0;
  for (const BlockKey& key : keys) cache.Get(key, [&] { return MakeBlock(16, ++content); });
  content = 0;
  for (const BlockKey& key : keys) {
    const auto block = cache.Get(key, [&] { return MakeBlock(16, 99); });
    EXPECT_EQ(std::to_integer<uint64_t>(block->bytes()[0]), ++content);
  }
}

TEST(BlockCache, GivesAFailureToAllWhoWaitAndForgetsIt) {
  constexpr unsigned kThreads = 4;
  BlockCache cache(size_t{1} << 20);
  const BlockKey key{1, BlockKind::kData, 3};
  std::atomic<unsigned> failed{0};
  std::barrier start(kThreads);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      try {
        cache.Get(key, []() -> std::shared_ptr<const Block> {
          throw std::runtime_error("no such block");
        });
      } catch (const std::runtime_error&) {
        failed.fetch_add(1);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(failed.load(), kThreads);
  EXPECT_NE(cache.Get(key, [] { return MakeBlock(16, 1); }), nullptr);
}

}  // namespace
}  // namespace firn
