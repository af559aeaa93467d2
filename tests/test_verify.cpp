// `data verify` on made-up and on real data sets, and tasks: cuts, class ids, shares.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "data/task.h"
#include "data/verify.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;
using etude::testing::TemporaryFolder;
using etude::testing::test_data;
using etude::testing::write;
using etude::testing::write_tone;

namespace {

// Without a class of the kind "deam" in sight: items alone make a data set.
Dataset affect_items(const std::vector<Affect>& values) {
  Dataset out;
  out.kind = "deam";
  for (const Affect& value : values) {
    Item item;
    item.id = fmt::format("deam/{}", out.items.size());
    item.affect = value;
    out.items.push_back(item);
  }
  return out;
}

std::vector<int> all_of(const Dataset& dataset) {
  std::vector<int> all;
  for (std::size_t i = 0; i < dataset.items.size(); ++i) all.push_back(static_cast<int>(i));
  return all;
}

const ClassShares& find_shares(const VerifyReport& report, const std::string& task,
                               const std::string& cuts) {
  for (const ClassShares& shares : report.shares)
    if (shares.task == task && shares.cuts == cuts) return shares;
  FAIL("no shares of " << task << " " << cuts);
  throw Error("unreachable");
}

// How many scores of the items are exactly 5, the middle of DEAM's scale: valence, arousal.
std::pair<int, int> exact_fives(const std::filesystem::path& deam, DeamLabels labels) {
  DatasetOptions options;
  options.need_audio = false;
  options.deam_labels = labels;
  std::pair<int, int> count{0, 0};
  for (const Item& item : load_dataset("deam", {deam}, options).items) {
    count.first += item.score->valence == 5;
    count.second += item.score->arousal == 5;
  }
  return count;
}

// To the three digits of the published table.
void check_share(double share, double expected) { CHECK(std::abs(share - expected) < 0.0005001); }

void check_table(const VerifyReport& report, const std::vector<double>& quadrants, double scale,
                 double minmax, double tertiles) {
  const ClassShares& q = find_shares(report, "quadrants", "scale");
  CHECK(q.classes == std::vector<std::string>{"happy", "angry", "sad", "relaxed"});  // Q1 to Q4
  REQUIRE(quadrants.size() == 4);
  for (int i = 0; i < 4; ++i) check_share(q.share(i), quadrants[i]);
  for (const char* cuts : {"scale", "minmax", "tertiles"})
    CHECK(find_shares(report, "emotion9", cuts).total() == q.total());
  check_share(find_shares(report, "emotion9", "scale").largest(), scale);
  check_share(find_shares(report, "emotion9", "minmax").largest(), minmax);
  check_share(find_shares(report, "emotion9", "tertiles").largest(), tertiles);
}

VerifyOptions fast() {
  VerifyOptions options;
  options.fast = true;
  return options;
}

}  // namespace

TEST_SUITE("data.task") {
  TEST_CASE("the nine emotions by valence and arousal level") {
    const double level[3] = {0.1, 0.5, 0.9};
    const char* const expected[3][3] = {{"sad", "distressed", "angry"},
                                        {"peaceful", "neutral", "tense"},
                                        {"relaxed", "content", "happy"}};
    std::vector<Affect> values;
    for (const double v : level)
      for (const double a : level) values.push_back({v, a});
    const Dataset dataset = affect_items(values);
    const Task task = make_task(TaskKind::emotion9, Cuts::scale, dataset, {});
    REQUIRE(task.outputs() == 9);
    for (int v = 0; v < 3; ++v)
      for (int a = 0; a < 3; ++a)
        CHECK(task.classes[task.label(dataset.items[3 * v + a])] == expected[v][a]);
    CHECK(task.classes == std::vector<std::string>{"happy", "tense", "angry", "content", "neutral",
                                                   "distressed", "relaxed", "peaceful", "sad"});
  }

  TEST_CASE("quadrants and halves: the middle itself belongs to the lower side") {
    const Dataset dataset =
        affect_items({{0.6, 0.6}, {0.4, 0.6}, {0.4, 0.4}, {0.6, 0.4}, {0.5, 0.5}, {0.5, 0.6}});
    const auto labels = [&](TaskKind kind) {
      const Task task = make_task(kind, Cuts::scale, dataset, {});
      std::vector<int> out;
      for (const Item& item : dataset.items) out.push_back(task.label(item));
      return out;
    };
    CHECK(labels(TaskKind::quadrants) == std::vector<int>{0, 1, 2, 3, 2, 1});
    CHECK(labels(TaskKind::valence2) == std::vector<int>{1, 0, 0, 1, 0, 0});
    CHECK(labels(TaskKind::arousal2) == std::vector<int>{1, 1, 0, 0, 0, 1});
    CHECK(labels(TaskKind::va) == std::vector<int>{-1, -1, -1, -1, -1, -1});
    CHECK(make_task(TaskKind::va, Cuts::scale, dataset, {}).outputs() == 2);
    CHECK(make_task(TaskKind::quadrants, Cuts::scale, dataset, {}).label(Item{}) == -1);
  }

  TEST_CASE("thresholds are fitted on the items given, and on nothing else") {
    const Dataset dataset =
        affect_items({{0.0, 0.2}, {0.1, 0.4}, {0.2, 0.5}, {0.9, 0.8}, {1.0, 1.0}});
    const Task minmax = make_task(TaskKind::emotion9, Cuts::minmax, dataset, {0, 1, 2, 3});
    CHECK(minmax.thresholds.valence[0] == doctest::Approx(0.3));
    CHECK(minmax.thresholds.valence[1] == doctest::Approx(0.6));
    CHECK(minmax.thresholds.arousal[0] == doctest::Approx(0.4));
    // numpy.quantile([0, .1, .2, .9], [1/3, 2/3]): ranks 1 and 2.
    const Task tertiles = make_task(TaskKind::emotion9, Cuts::tertiles, dataset, {3, 0, 2, 1});
    CHECK(tertiles.thresholds.valence[0] == doctest::Approx(0.1));
    CHECK(tertiles.thresholds.valence[1] == doctest::Approx(0.2));
    // numpy.quantile([.2, .4, .5, .8, 1], [1/3, 2/3]): h = 4/3 and 8/3.
    const Task all = make_task(TaskKind::emotion9, Cuts::tertiles, dataset, all_of(dataset));
    CHECK(all.thresholds.arousal[0] == doctest::Approx(0.4 + 0.1 / 3));
    CHECK(all.thresholds.arousal[1] == doctest::Approx(0.5 + 0.3 * 2 / 3));
    const Task median = make_task(TaskKind::quadrants, Cuts::tertiles, dataset, all_of(dataset));
    CHECK(median.thresholds.arousal == std::vector<double>{0.5});
    CHECK(make_task(TaskKind::valence2, Cuts::scale, dataset, {}).thresholds.arousal.empty());
  }

  TEST_CASE("classes of a normal distribution of valence and arousal") {
    const Dataset dataset = affect_items({{0.5, 0.5}});
    const auto task = [&](TaskKind kind) { return make_task(kind, Cuts::scale, dataset, {}); };
    // From a table: Phi(1) and Phi(2).
    const double one = 0.8413447461, two = 0.9772498681;
    const Task quadrants = task(TaskKind::quadrants);
    const auto q = quadrants.probabilities({0.6, 0.3}, {0.1, 0.1});
    CHECK(q.at(0) == doctest::Approx(one * (1 - two)));
    CHECK(q.at(1) == doctest::Approx((1 - one) * (1 - two)));
    CHECK(q.at(2) == doctest::Approx((1 - one) * two));
    CHECK(q.at(3) == doctest::Approx(one * two));
    CHECK(task(TaskKind::valence2).probabilities({0.6, 0.3}, {0.1, 0.1}).at(1) ==
          doctest::Approx(one));
    CHECK(task(TaskKind::arousal2).probabilities({0.6, 0.3}, {0.1, 0.2}).at(0) ==
          doctest::Approx(one));
    // Three levels: the middle third is half a deviation wide; Phi(0.25) is 0.5987063257.
    const auto nine = task(TaskKind::emotion9).probabilities({0.5, 0.5}, {2.0 / 3, 1.0 / 3});
    REQUIRE(nine.size() == 9);
    CHECK(nine[4] == doctest::Approx((2 * 0.5987063257 - 1) * (2 * 0.6914624613 - 1)));
    double sum = 0;
    for (const double p : nine) sum += p;
    CHECK(sum == doctest::Approx(1));
    // Where the deviation is small, the class is that of the mean.
    for (const TaskKind kind : {TaskKind::emotion9, TaskKind::quadrants, TaskKind::valence2})
      for (const double v : {0.1, 0.45, 0.9})
        for (const double a : {0.1, 0.55, 0.9}) {
          Item item;
          item.affect = Affect{v, a};
          const Task each = task(kind);
          CHECK(each.probabilities({v, a}, {1e-3, 1e-3}).at(each.label(item)) ==
                doctest::Approx(1));
        }
    // And back: each axis by itself.
    const LevelProbabilities levels = quadrants.levels(q);
    REQUIRE(levels.valence.size() == 2);
    REQUIRE(levels.arousal.size() == 2);
    CHECK(levels.valence[1] == doctest::Approx(one));
    CHECK(levels.arousal[0] == doctest::Approx(two));
    const LevelProbabilities thirds = task(TaskKind::emotion9).levels(nine);
    REQUIRE(thirds.arousal.size() == 3);
    CHECK(thirds.valence[1] == doctest::Approx(2 * 0.5987063257 - 1));
    CHECK(thirds.arousal[1] == doctest::Approx(2 * 0.6914624613 - 1));
    CHECK(task(TaskKind::valence2).levels({0.3, 0.7}).valence.at(1) == 0.7);
    CHECK(task(TaskKind::valence2).levels({0.3, 0.7}).arousal.empty());
    CHECK(task(TaskKind::va).levels({}).valence.empty());
    CHECK(contains(message([&] { quadrants.probabilities({0.5, 0.5}, {0.1, 0}); }), "above 0"));
    CHECK(contains(message([&] {
                     task(TaskKind::va).probabilities({0.5, 0.5}, {0.1, 0.1});
                   }),
                   "the classes of va"));
  }

  TEST_CASE("names are read back; others list the choices") {
    for (const TaskKind kind :
         {TaskKind::emotion9, TaskKind::quadrants, TaskKind::valence2, TaskKind::arousal2,
          TaskKind::va, TaskKind::va_dynamic, TaskKind::classes})
      CHECK(parse_task(to_string(kind)) == kind);
    for (const Cuts cuts : {Cuts::scale, Cuts::minmax, Cuts::tertiles})
      CHECK(parse_cuts(to_string(cuts)) == cuts);
    CHECK(message([] { parse_task("emotions"); }) ==
          "task: \"emotions\" is unknown; expected one of emotion9, quadrants, valence2, arousal2, "
          "va, va-dynamic, classes");
    CHECK(contains(message([] { parse_cuts(""); }), "expected one of scale, minmax, tertiles"));
    const Dataset affect = affect_items({{0.5, 0.5}});
    CHECK(contains(message([&] { make_task(TaskKind::classes, Cuts::scale, affect, {}); }),
                   "has no classes of its own"));
    CHECK(contains(message([&] { make_task(TaskKind::emotion9, Cuts::minmax, affect, {}); }),
                   "need annotated training items"));
    CHECK(contains(message([&] { make_task(TaskKind::va, Cuts::scale, Dataset{}, {}); }),
                   "needs valence and arousal"));
  }
}

TEST_SUITE("data.verify") {
  TEST_CASE("damaged, unreadable and identical files are found and named") {
    const TemporaryFolder root;
    write_tone(root / "a/1.wav", 0.5, 440);
    write_tone(root / "a/2.wav", 0.25, 880);
    write_tone(root / "b/copy of 1.wav", 0.5, 440);
    write(root / "b/text.mp3", "this is no music\n");
    write(root / "b/empty.wav", "");
    int calls = 0, last = 0;
    VerifyOptions options;
    options.progress = [&](int done, int total) {
      ++calls;
      last = done;
      CHECK(total == 5);
      return true;
    };
    const VerifyReport report = verify_dataset("folder", {root.path()}, options);
    CHECK(calls >= 1);
    CHECK(last == 5);
    REQUIRE(report.unreadable.size() == 2);
    CHECK(contains(report.unreadable[0].message, "empty.wav"));
    CHECK(contains(report.unreadable[1].message, "text.mp3"));
    REQUIRE(report.duplicates.size() == 1);
    CHECK(contains(report.duplicates[0][1], "copy of 1.wav"));
    CHECK(report.problems() == 2);
    CHECK(report.seconds_total == doctest::Approx(1.25));
    CHECK(report.seconds_median == doctest::Approx(0.5));
    CHECK(report.sample_rates == std::vector<std::pair<int, int>>{{8000, 3}});
    const auto json = nlohmann::json::parse(to_json(report));
    CHECK(json["roots"][0]["annotated"] == 5);
    CHECK(json["audio"]["unreadable"].size() == 2);
    CHECK(contains(to_text(report), "unreadable           2"));

    const VerifyReport quick = verify_dataset("folder", {root.path()}, fast());
    CHECK_FALSE(quick.decoded);
    CHECK(quick.problems() == 0);
    CHECK_FALSE(nlohmann::json::parse(to_json(quick)).contains("audio"));

    options.progress = [](int, int) { return false; };
    CHECK(verify_dataset("folder", {root.path()}, options).stopped);
  }

  TEST_CASE("DEAM: counts, the mended exchange, class shares") {
    if (test_data().empty()) {
      MESSAGE("skipped: ETUDE_TEST_DATA is not set");
      return;
    }
    const auto deam = test_data() / "DEAM";
    const VerifyReport report = verify_dataset("deam", {deam});
    REQUIRE(report.roots.size() == 1);
    const RootReport& root = report.roots[0];
    CHECK(root.annotated == 1802);
    CHECK(root.dynamic == 1802);
    CHECK(root.with_audio == 10);
    CHECK(root.no_audio.size() == 1792);
    CHECK(root.no_annotation.empty());
    CHECK(root.mended == 744);
    CHECK(report.problems() == 0);
    CHECK(report.seconds_median == doctest::Approx(45).epsilon(0.01));

    // r of mean dynamic and static annotation, by range of song ids.
    const double evidence[3][4] = {
        {0.570, 0.956, 0.575, 0.949}, {0.942, 0.591, 0.912, 0.570}, {0.929, 0.050, 0.984, -0.101}};
    const int songs[3] = {744, 1000, 58};
    REQUIRE(root.root.swap.size() == 3);
    for (int i = 0; i < 3; ++i) {
      const SwapEvidence& e = root.root.swap[i];
      CHECK(e.songs == songs[i]);
      check_share(e.arousal_arousal, evidence[i][0]);
      check_share(e.arousal_valence, evidence[i][1]);
      check_share(e.valence_valence, evidence[i][2]);
      check_share(e.valence_arousal, evidence[i][3]);
      CHECK((e.verdict == SwapEvidence::Verdict::swapped) == (i == 0));
      CHECK((e.verdict == SwapEvidence::Verdict::straight) == (i != 0));
    }
    check_share(root.valence.deviation, 1.108);
    check_share(root.arousal.deviation, 1.327);
    check_table(report, {.330, .105, .412, .153}, .516, .377, .222);
    const auto& nine = find_shares(report, "emotion9", "scale").counts;
    CHECK(std::count(nine.begin(), nine.end(), 0) == 1);
    CHECK(contains(to_text(report), "744 songs, mended"));

    VerifyOptions raw = fast();
    raw.dataset.deam_labels = DeamLabels::as_distributed;
    const VerifyReport distributed = verify_dataset("deam", {deam}, raw);
    CHECK(distributed.roots[0].mended == 0);
    check_table(distributed, {.330, .127, .412, .132}, .516, .398, .205);

    // Scores on a threshold are common: they stay below it, else Q1 would have .359.
    CHECK(exact_fives(deam, DeamLabels::mended) == std::pair(64, 45));
    CHECK(exact_fives(deam, DeamLabels::as_distributed) == std::pair(56, 53));
    DatasetOptions options;
    options.need_audio = false;
    int at_least = 0;
    for (const Item& item : load_dataset("deam", {deam}, options).items)
      at_least += item.score->valence >= 5 && item.score->arousal >= 5;
    check_share(at_least / 1802.0, .359);
  }

  TEST_CASE("PMEmo: counts, the clips without annotation, class shares; both together") {
    if (test_data().empty()) {
      MESSAGE("skipped: ETUDE_TEST_DATA is not set");
      return;
    }
    const auto pmemo = test_data() / "PMEmo2019";
    const VerifyReport report = verify_dataset("pmemo", {pmemo}, fast());
    const RootReport& root = report.roots.at(0);
    CHECK(root.items == 794);
    CHECK(root.annotated == 767);
    CHECK(root.dynamic == 767);
    CHECK(root.with_audio == 0);
    CHECK(contains(report.warnings.at(0), "no audio at all; expected the files chorus/ID.mp3"));
    CHECK(root.no_annotation ==
          std::vector<std::string>{"11",  "64",  "85",  "95",  "101", "110", "118", "205", "206",
                                   "226", "264", "278", "291", "311", "320", "352", "359", "371",
                                   "384", "392", "404", "459", "464", "596", "610", "687", "866"});
    check_share(root.valence.deviation, 0.162);
    check_share(root.arousal.deviation, 0.185);
    check_table(report, {.640, .099, .180, .081}, .357, .319, .246);
    const std::string text = to_text(report);
    CHECK(contains(text, "27: 11 64 85"));
    CHECK(contains(text, "\n                       "));  // and goes on below
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      CHECK(end - at <= 100);
      at = end + 1;
    }

    const VerifyReport both = verify_dataset("deam+pmemo", {test_data() / "DEAM", pmemo}, fast());
    CHECK(find_shares(both, "quadrants", "scale").total() == 2569);
    check_table(both, {.422, .104, .343, .132}, .468, .353, .225);
  }

  TEST_CASE("folders of sounds and Fashion-MNIST") {
    if (test_data().empty()) {
      MESSAGE("skipped: ETUDE_TEST_DATA is not set");
      return;
    }
    VerifyOptions options = fast();
    options.dataset.groups = test_data() / "fsdd/groups.csv";
    const VerifyReport digits = verify_dataset("folder", {test_data() / "fsdd"}, options);
    CHECK(digits.roots[0].annotated == 3000);
    CHECK(digits.warnings.empty());
    CHECK(digits.shares.size() == 3);  // all, train, test
    options.dataset.groups = test_data() / "esc10/groups.csv";
    const VerifyReport sounds = verify_dataset("folder", {test_data() / "esc10"}, options);
    CHECK(sounds.roots[0].annotated == 400);
    CHECK(sounds.shares.at(0).classes.at(0) == "001 - Dog bark");
    CHECK(sounds.warnings.empty());
  }
}
