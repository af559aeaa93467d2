// Splits: no leakage, balance, official parts, folds, files.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "data/split.h"
#include "engine/random.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::write;

namespace {

Dataset make_items(int count) {
  Dataset out;
  out.kind = "folder";
  for (int i = 0; i < count; ++i) {
    Item item;
    item.id = fmt::format("set/{}, \"{}\".wav", i, i);
    out.items.push_back(item);
  }
  return out;
}

std::vector<int> everything(const Split& split) {
  std::vector<int> all;
  for (const auto* part : {&split.train, &split.val, &split.test})
    all.insert(all.end(), part->begin(), part->end());
  std::sort(all.begin(), all.end());
  return all;
}

std::set<std::string> values(const Dataset& dataset, const std::vector<int>& items,
                             const std::string& column) {
  std::set<std::string> out;
  for (const int i : items) out.insert(dataset.items[i].columns.at(column));
  return out;
}

bool disjoint(const std::set<std::string>& a, const std::set<std::string>& b) {
  return std::none_of(a.begin(), a.end(), [&](const auto& x) { return b.contains(x); });
}

bool same(const Split& a, const Split& b) {
  return a.train == b.train && a.val == b.val && a.test == b.test;
}

std::map<int, int> count_labels(const std::vector<int>& labels, const std::vector<int>& items) {
  std::map<int, int> counts;
  for (const int i : items) ++counts[labels[i]];
  return counts;
}

}  // namespace

TEST_SUITE("data.split") {
  TEST_CASE("every item once, close to the fractions in total and in every class") {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Generator random(seed);
      const int n = 30 + static_cast<int>(random.below(400));
      const int classes = 1 + static_cast<int>(random.below(9));
      const Dataset dataset = make_items(n);
      std::vector<int> labels;
      for (int i = 0; i < n; ++i)  // uneven: low labels are frequent
        labels.push_back(static_cast<int>(random.below(1 + random.below(classes))));
      SplitOptions options;
      options.seed = seed;
      options.val_fraction = 0.1 + 0.2 * random.uniform();
      options.test_fraction = 0.1 + 0.2 * random.uniform();
      const Split split = make_split(dataset, labels, options);
      const std::vector<int> all = everything(split);
      REQUIRE(all.size() == static_cast<std::size_t>(n));
      CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
      const auto whole = count_labels(labels, all);
      const auto check_part = [&](const std::vector<int>& part, double fraction) {
        CHECK(std::abs(double(part.size()) - fraction * n) <= 2);
        auto counts = count_labels(labels, part);
        for (const auto& [label, count] : whole)
          CHECK(std::abs(counts[label] - fraction * count) <= 2.5);
        CHECK(std::is_sorted(part.begin(), part.end()));
      };
      check_part(split.train, 1 - options.val_fraction - options.test_fraction);
      check_part(split.val, options.val_fraction);
      check_part(split.test, options.test_fraction);
    }
  }

  TEST_CASE("the seed decides, and only the seed") {
    const Dataset dataset = make_items(100);
    const std::vector<int> labels(100, 0);
    SplitOptions options;
    const Split first = make_split(dataset, labels, options);
    CHECK(same(first, make_split(dataset, {}, options)));
    options.seed = 1;
    CHECK_FALSE(same(first, make_split(dataset, labels, options)));
  }

  TEST_CASE("groups never straddle, whatever their sizes") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      Generator random(100 + seed);
      const int groups = 3 + static_cast<int>(random.below(30));
      const int n = groups * (1 + static_cast<int>(random.below(10)));
      Dataset dataset = make_items(n);
      std::vector<int> labels;
      for (int i = 0; i < n; ++i) {
        // Every group once, the rest as it comes.
        const int group = i < groups ? i : static_cast<int>(random.below(1 + random.below(groups)));
        dataset.items[i].columns["artist"] = fmt::format("artist {}", group);
        labels.push_back(static_cast<int>(random.below(4)));
      }
      SplitOptions options;
      options.seed = seed;
      options.group_by = "artist";
      const Split split = make_split(dataset, labels, options);
      CHECK(everything(split).size() == static_cast<std::size_t>(n));
      const auto train = values(dataset, split.train, "artist"),
                 val = values(dataset, split.val, "artist"),
                 test = values(dataset, split.test, "artist");
      CHECK(disjoint(train, val));
      CHECK(disjoint(train, test));
      CHECK(disjoint(val, test));
      CHECK_FALSE(train.empty());
      CHECK_FALSE(val.empty());
      CHECK_FALSE(test.empty());

      const int k = 2 + static_cast<int>(random.below(groups - 1));
      const auto folds = make_folds(dataset, labels, k, "", options);
      REQUIRE(folds.size() == static_cast<std::size_t>(k));
      std::set<int> covered;
      std::set<std::string> seen;
      for (const auto& fold : folds) {
        CHECK_FALSE(fold.empty());
        covered.insert(fold.begin(), fold.end());
        const auto artists = values(dataset, fold, "artist");
        CHECK(disjoint(seen, artists));
        seen.insert(artists.begin(), artists.end());
      }
      CHECK(covered.size() == static_cast<std::size_t>(n));
    }
  }

  TEST_CASE("items without the column are groups of their own; items without label in no part") {
    Dataset dataset = make_items(40);
    for (int i = 0; i < 20; ++i) dataset.items[i].columns["artist"] = "one";
    std::vector<int> labels(40, 0);
    labels[39] = -1;
    SplitOptions options;
    options.group_by = "artist";
    const Split split = make_split(dataset, labels, options);
    CHECK(everything(split).size() == 39);
    for (const auto* part : {&split.train, &split.val, &split.test}) {
      const auto in = std::count_if(part->begin(), part->end(), [](int i) { return i < 20; });
      CHECK((in == 0 || in == 20));
    }
    CHECK(contains(message([&] {
                     options.group_by = "singer";
                     make_split(dataset, labels, options);
                   }),
                   "no item of folder has a column \"singer\"; there are: artist"));
  }

  TEST_CASE("official parts stay; val is carved from train, by group") {
    Dataset dataset = make_items(60);
    for (int i = 0; i < 60; ++i) {
      dataset.items[i].split = i < 20 ? "test" : "train";
      dataset.items[i].columns["speaker"] = fmt::format("s{}", i % 10);
    }
    SplitOptions options;
    options.group_by = "speaker";
    options.val_fraction = 0.2;
    const Split split = make_split(dataset, {}, options);
    REQUIRE(split.test.size() == 20);
    CHECK(split.test.front() == 0);
    CHECK(split.test.back() == 19);
    CHECK(split.val.size() == 8);  // 2 of 10 speakers, 4 items each
    CHECK(disjoint(values(dataset, split.train, "speaker"), values(dataset, split.val, "speaker")));
    options.val_fraction = 0;
    CHECK(make_split(dataset, {}, options).val.empty());

    dataset.items[0].split = "exam";
    CHECK(contains(message([&] { make_split(dataset, {}, options); }),
                   "expected train, val or test"));
  }

  TEST_CASE("items without a split go with their group, or are divided") {
    Dataset dataset = make_items(30);
    for (int i = 0; i < 30; ++i) dataset.items[i].columns["a"] = fmt::format("{}", i / 3);
    dataset.items[0].split = "test";
    dataset.items[3].split = "val";
    SplitOptions options;
    options.group_by = "a";
    const Split split = make_split(dataset, {}, options);
    CHECK(everything(split).size() == 30);
    const auto in = [](const std::vector<int>& part, int i) {
      return std::find(part.begin(), part.end(), i) != part.end();
    };
    CHECK(in(split.test, 1));
    CHECK(in(split.test, 2));
    CHECK(in(split.val, 4));
    dataset.items[1].split = "train";  // item 2 has nowhere to go
    CHECK(contains(message([&] { make_split(dataset, {}, options); }), "stand in several parts"));
  }

  TEST_CASE("folds from a column, and a split of a fold") {
    Dataset dataset = make_items(50);
    for (int i = 0; i < 50; ++i)
      dataset.items[i].columns["fold"] = fmt::format("{}", 1 + i % 5 * 3);
    const auto folds = make_folds(dataset, {}, 0, "fold", {});
    REQUIRE(folds.size() == 5);
    CHECK(dataset.items[folds[4][0]].columns["fold"] == "13");  // 1 4 7 10 13, not 1 10 13 4 7
    for (const auto& fold : folds) CHECK(fold.size() == 10);
    dataset.items[7].columns.erase("fold");
    CHECK(contains(message([&] { make_folds(dataset, {}, 0, "fold", {}); }),
                   "has no value in column"));
    CHECK(contains(message([&] { make_folds(dataset, {}, 51, "", {}); }), "cannot be divided"));
    CHECK(contains(message([&] { make_folds(dataset, {}, 1, "", {}); }), "expected at least 2"));
  }

  TEST_CASE("a split is written and read back; another one is refused") {
    const TemporaryFolder folder;
    const auto file = folder / "deep/split.csv";
    const Dataset dataset = make_items(40);
    std::vector<int> labels(40, 0);
    labels[5] = -1;
    SplitOptions options;
    const Split split = make_split(dataset, labels, options);
    write_split(file, dataset, split);
    CHECK(same(split, read_split(file, dataset)));
    options.seed = 99;
    options.file = file;
    CHECK(same(split, make_split(dataset, labels, options)));
    // A part of the data set: ids that it lacks are no matter.
    Dataset part = dataset;
    part.items.resize(10);
    CHECK(everything(read_split(file, part)).size() == 9);

    CHECK(contains(message([&] { read_split(file, make_items(41)); }), "lacks items"));
    write(file, "id,split\nx,exam\n");
    CHECK(contains(message([&] { read_split(file, dataset); }), "split.csv:2: split is \"exam\""));
    write(file, "id,split\nx,test\nx,test\n");
    CHECK(contains(message([&] { read_split(file, dataset); }), "stands there twice"));
    write(file, "name,split\nx,test\n");
    CHECK(contains(message([&] { read_split(file, dataset); }), "no column \"id\""));
  }

  TEST_CASE("too little to divide, and impossible fractions") {
    CHECK(contains(message([] { make_split(make_items(2), {}, {}); }),
                   "2 items cannot be divided into 3 parts"));
    SplitOptions options;
    options.val_fraction = 0.6;
    options.test_fraction = 0.5;
    CHECK(contains(message([&] { make_split(make_items(10), {}, options); }), "less than 1"));
    CHECK(contains(message([] {
                     make_split(make_items(10), {1, 2}, {});
                   }),
                   "2 labels for 10 items"));
    const Split smallest = make_split(make_items(3), {}, {});
    CHECK(smallest.train.size() == 1);
    CHECK(smallest.val.size() == 1);
    CHECK(smallest.test.size() == 1);
  }
}
