// The benchmark's own arithmetic: problems, suites, statistics and the model of GPUs. Nothing here
// measures time.
#include <doctest/doctest.h>

#include <set>

#include "bench/gpu_model.h"
#include "bench/report.h"
#include "bench/result.h"
#include "bench/scaling.h"
#include "bench/suite.h"

using namespace etude;
using namespace etude::bench;

namespace {

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Problem one(const std::string& text) {
  const std::vector<Problem> problems = parse_problems(text);
  REQUIRE(problems.size() == 1);
  return problems.front();
}

Result result(const std::string& provider, std::vector<double> seconds) {
  Result r;
  r.provider = provider;
  r.seconds = std::move(seconds);
  return r;
}

}  // namespace

TEST_SUITE_BEGIN("bench");

TEST_CASE("a problem: defaults follow the settings before them") {
  const Problem p = one("conv2d_forward N=2 H=32 C=8 R=5");
  const Conv2dShape s = conv2d_shape(p);
  CHECK(s.w == 32);
  CHECK(s.k == 8);
  CHECK(s.s == 5);
  CHECK(s.pad_h == 2);
  CHECK(s.pad_w == 2);
  CHECK(s.stride_w == 1);
  CHECK(p.flops == 2.0 * 2 * 32 * 32 * 8 * 5 * 5 * 8);
  CHECK(p.bytes == 4.0 * (2 * 32 * 32 * 8 * 2 + 8 * 5 * 5 * 8));
  CHECK(p.settings() ==
        "N=2 H=32 W=32 C=8 K=8 R=5 S=5 stride=1 stride_w=1 pad=2 pad_w=2 dilation=1");
  CHECK(one("conv2d_forward " + p.settings()).bytes == p.bytes);
}

TEST_CASE("a problem: a family is its passes") {
  const auto names = [](const std::string& text) {
    std::string all;
    for (const Problem& p : parse_problems(text)) all += p.kernel + " ";
    return all;
  };
  CHECK(names("conv2d C=4") == "conv2d_forward conv2d_backward_data conv2d_backward_filter ");
  CHECK(names("conv2d C=1 K=4") == "conv2d_forward conv2d_backward_filter ");
  CHECK(names("conv2d_backward_data C=1 K=4") == "conv2d_backward_data ");
  CHECK(names("linear") == "linear_forward linear_backward_data linear_backward_filter ");
  CHECK(names("max_pool2d") == "max_pool2d_forward max_pool2d_backward ");
  CHECK(names("conv2d_block") == "conv2d_block_forward conv2d_block_backward ");
  CHECK(one("conv2d_backward_data").is("conv2d"));
  CHECK_FALSE(one("conv2d_pool_backward").is("conv2d"));
}

TEST_CASE("a problem of several ops: the FLOPs of all, the bytes of none that stays within") {
  const double pixels = 2 * 8 * 6, pooled = 2 * 4 * 3 * 10;
  const Problem forward = one("conv2d_block_forward N=2 H=8 W=6 K=10");
  CHECK(forward.flops == 2 * pixels * 9 * (10 + 100));
  CHECK(forward.bytes == 4 * pixels + 5 * pooled);
  const Problem backward = one("conv2d_block_backward N=2 H=8 W=6 K=10");
  CHECK(backward.flops == 2 * pixels * 9 * (10 + 200));
  CHECK(backward.output.size() == 900);
}

TEST_CASE("a problem: what cannot be is an error that says why") {
  CHECK(error_of([] { parse_problems("conv3d N=1"); }).find("no kernel 'conv3d'") == 0);
  CHECK(error_of([] { parse_problems("conv2d_forward X=1"); }).find("'X' is unknown") !=
        std::string::npos);
  CHECK(error_of([] { parse_problems("conv2d_forward N=many"); }).find("N is a number") !=
        std::string::npos);
  CHECK(error_of([] { parse_problems("conv2d_forward N"); }).find("NAME=VALUE") !=
        std::string::npos);
  CHECK(error_of([] { parse_problems("conv2d_forward H=2 R=5 pad=0"); }).find("no output") !=
        std::string::npos);
  CHECK(error_of([] { parse_problems("conv2d_forward N=0"); }).find("no output") !=
        std::string::npos);
}

TEST_CASE("a problem for the reference is a leading block of the whole") {
  for (const char* text :
       {"conv2d N=16 H=32 C=64 K=128 stride=2", "linear N=512 C=512", "batch_norm", "max_pool2d",
        "conv2d_pool", "conv2d_block", "conv2d_norm_inference", "conv2d_norm_forward", "rfft",
        "stft", "mel_spectrogram", "softmax N=1000", "add", "sgd_step"})
    for (const Problem& p : parse_problems(text)) {
      const Problem part = reduced(p);
      CAPTURE(p.kernel);
      CHECK(part.inputs.size() == p.inputs.size());
      CHECK(part.output.size() <= p.output.size());
      CHECK(part.output.channels <= p.output.channels);
      for (std::size_t i = 0; i < p.inputs.size(); ++i) {
        CHECK(part.inputs[i].outer <= p.inputs[i].outer);
        CHECK(part.inputs[i].inner == p.inputs[i].inner);
      }
    }
  // Sums over pixels keep all of them, sums over channels keep those.
  const Problem filter = reduced(one("conv2d_backward_filter N=16 H=32 C=64"));
  CHECK(filter.at("N") == 16);
  CHECK(filter.at("C") == 4);
  CHECK(reduced(one("conv2d_forward N=16 H=32 C=64")).at("C") == 64);
  // The last frames that lie on the shortened signal's end: half a window.
  CHECK(reduced(one("stft n_fft=2048 hop=512")).last_frames == 3);
  CHECK(reduced(one("stft n_fft=2048 hop=512 samples=1024")).last_frames == 0);
}

TEST_CASE("suites: rows, quotes and errors") {
  const std::vector<SuiteRow> rows =
      parse_suite("name,problem\na,conv2d C=1 K=3\nb,softmax N=3\n", "mine");
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].id() == "mine/a/conv2d_forward");
  CHECK(rows[2].problem.at("N") == 3);
  const std::string error =
      error_of([] { parse_suite("name,problem\na,softmax N=3\nb,softmax M=3\n", "mine"); });
  CHECK(error.find("mine:3: softmax: 'M' is unknown") == 0);
  CHECK(error_of([] { read_suite("nothing"); }).find("there are deepbench") != std::string::npos);
}

TEST_CASE("suites: those of the repository can be read, and every row has a name of its own") {
  const std::vector<std::string> names = suite_names();
  for (const char* name : {"deepbench", "emulator", "mel", "models", "resnet18", "resnet50",
                           "scaling", "smoke", "threads", "tinyvgg"})
    CHECK(std::find(names.begin(), names.end(), name) != names.end());
  for (const std::string& name : names) {
    std::set<std::string> ids;
    for (const SuiteRow& row : read_suite(name)) {
      CAPTURE(row.id());
      CHECK(ids.insert(row.id()).second);
    }
  }
}

TEST_CASE("statistics of a row") {
  const Result r = result("etude:cpu", {4, 1, 3, 2, 5});
  CHECK(r.median() == 3);
  CHECK(r.quantile(0) == 1);
  CHECK(r.quantile(0.95) == doctest::Approx(4.8));
}

TEST_CASE("percent of speed of light is of the nearer of two limits") {
  Result r = result("etude:cpu", {2});
  r.machine = {100, 10};  // FLOP/s, bytes/s
  r.flops = 100;
  r.bytes = 5;
  CHECK(r.least_seconds() == 1);
  CHECK(std::string(r.bound()) == "compute");
  CHECK(r.speed_of_light() == 0.5);
  r.bytes = 40;
  CHECK(std::string(r.bound()) == "memory");
  CHECK(r.speed_of_light() == 2);
  r.bytes = 0;
  CHECK(std::string(r.bound()).empty());
  CHECK(r.speed_of_light() == 0.5);
}

TEST_CASE("the ratio is to the fastest other provider of the same row") {
  std::vector<Result> results = {result("etude:cpu", {2}), result("onednn", {3}),
                                 result("openblas", {4}), result("etude:cpu", {1})};
  results[3].cache = "cold";  // another group
  compare(results);
  CHECK(results[0].versus == 1.5);
  CHECK(results[1].versus == doctest::Approx(2.0 / 3));
  CHECK(results[2].versus == 0.5);
  CHECK(std::isnan(results[3].versus));
}

TEST_CASE("an error that is not a number is wrong") {
  Result r = result("etude:cpu", {1});
  CHECK(!wrong(r));  // nothing to compare with
  r.error = 1e-6;
  CHECK(!wrong(r));
  r.error = std::numeric_limits<double>::infinity();
  CHECK(wrong(r));
}

TEST_CASE("a row that failed says so; one that the emulator did not count has not failed") {
  Result r = result("onednn", {});
  r.failure = "no memory";
  CHECK(table_row(r).find("failed: no memory") != std::string::npos);
  r.provider = "etude:simt";
  CHECK(table_row(r).find("not counted: no memory") != std::string::npos);
}

TEST_CASE("CSV and JSON have the same columns, and no NaN") {
  Result r = result("etude:cpu", {1e-6});
  r.settings = "N=1, H=2";
  const std::string csv = to_csv({r});
  CHECK(csv.find("suite,name,kernel,problem,provider") == 0);
  CHECK(csv.find("\"N=1, H=2\"") != std::string::npos);
  CHECK(csv.find("nan") == std::string::npos);
  const auto json = to_json({r}, {{"processor", "x"}});
  CHECK(json["rows"][0]["median_us"] == 1);
  CHECK(json["rows"][0]["error"].is_null());
  CHECK(json["context"]["processor"] == "x");
}

namespace {

// A row of the suite scaling: x of `quantity` takes `seconds` and has `flops`.
Result scaling_row(const std::string& quantity, int x, double seconds, double flops, int threads) {
  Result r = result("etude:cpu", {2 * seconds});  // the wall clock: disturbed
  r.processor = {seconds};
  r.suite = "scaling";
  r.name = quantity + "-" + std::to_string(x);
  r.kernel = "train_step";
  r.threads = threads;
  r.flops = flops;
  return r;
}

}  // namespace

TEST_CASE("cost against size: the exponent, of time and of FLOPs, and the cost of a unit") {
  std::vector<Result> results;
  for (const int x : {8, 2, 4}) {
    results.push_back(scaling_row("batch", x, 0.5 * x, 7.0 * x, 1));
    results.push_back(scaling_row("batch", x, 0.25 * x + 1, 7.0 * x, 2));
    results.push_back(scaling_row("hidden", x, 3.0 * x * x, 5.0 * x, 1));
  }
  results.push_back(scaling_row("hidden", 16, 1, 1, 1));
  results.back().seconds.clear();  // failed
  results.push_back(scaling_row("batch", 16, 1, 1, 1));
  results.back().suite = "models";
  results.push_back(scaling_row("batch", 16, 1, 1, 1));
  results.back().name = "batch-size";
  const std::vector<Sweep> all = sweeps(results);
  REQUIRE(all.size() == 3);
  CHECK(all[0].quantity == "batch");
  CHECK(all[0].seconds == std::vector<double>{4, 1, 2});  // one thread: processor time
  CHECK(all[0].exponent() == doctest::Approx(1));
  CHECK(all[0].unit_cost() == doctest::Approx(1));
  CHECK(all[1].threads == 2);
  CHECK(all[1].seconds == std::vector<double>{6, 3, 4});  // two: the wall clock
  CHECK(all[1].exponent() == doctest::Approx(0.5));       // doubles as x is four times as much
  CHECK(all[1].unit_cost() == doctest::Approx(0.5));
  CHECK(all[2].quantity == "hidden");
  CHECK(all[2].exponent() == doctest::Approx(2));
  CHECK(all[2].flops_exponent() == doctest::Approx(1));
  CHECK(all[2].unit_cost() == doctest::Approx(4));
  CHECK(std::isnan(sweeps({results[0]}).front().exponent()));
  CHECK(sweep_table(all).find("p 2.00  FLOPs 1.00  unit 4.00") != std::string::npos);
}

TEST_CASE("cost against size: the report draws every sweep, with the line that linear would be") {
  std::vector<Result> results;
  for (const int x : {2, 4, 8}) {
    results.push_back(scaling_row("batch", x, 0.5 * x, 0, 1));
    results.push_back(scaling_row("hidden", x, 3.0 * x * x, 0, 1));
  }
  const std::string page = report_html(results, {}, {{"processor", "x"}});
  const auto count = [&](const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = page.find(text, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  CHECK(count("<svg") == 2);
  CHECK(count("<polyline class=\"line") == 4);  // the curve and the dashed line of both
  CHECK(count("dashed\" points") == 2);
  CHECK(count(">batch: p 1.00<") == 1);
  CHECK(count(">hidden: p 2.00<") == 1);
  CHECK(report_html({result("etude:cpu", {1})}, {}, {{"processor", "x"}}).find("Cost against") ==
        std::string::npos);
}

TEST_CASE("threads against one: pairs of rows, the ratio and the share of the bandwidth") {
  const Machine one{100, 10}, two{200, 16};  // FLOP/s, bytes/s
  const auto row = [&](int threads, std::vector<double> seconds, double flops, double bytes,
                       const std::string& cache) {
    Result r = result("etude:cpu", std::move(seconds));
    r.threads = threads;
    r.machine = threads == 1 ? one : two;
    r.flops = flops;
    r.bytes = bytes;
    r.cache = cache;
    return r;
  };
  std::vector<Result> results = {row(1, {8, 9, 10}, 1000, 1, "cold"),
                                 row(2, {5, 4, 6}, 1000, 1, "cold"), row(1, {1}, 1, 10, "warm"),
                                 row(2, {0.5}, 1, 10, "warm"), row(2, {1}, 1, 10, "cold")};
  results[4].name = "without its partner";
  std::vector<ThreadScaling> rows = thread_scaling(results);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].ratio == doctest::Approx(9.0 / 5));
  CHECK(rows[0].best_ratio == doctest::Approx(2));
  CHECK(rows[0].bound == "compute");
  CHECK(rows[0].flops == doctest::Approx(1));
  CHECK(std::string(rows[0].wanted()) == "1.8 x");
  CHECK(rows[0].met());
  CHECK(rows[1].bandwidth == doctest::Approx(10 / 0.5 / 16));
  CHECK(std::string(rows[1].wanted()).empty());  // from a cache
  rows[1].cache = "cold";
  CHECK(std::string(rows[1].wanted()) == "90 % of the bandwidth");
  CHECK(rows[1].met());
  rows[1].bandwidth = 0.89;
  CHECK(!rows[1].met());
  CHECK(report_html(results, {}, {{"processor", "x"}}).find("Threads against one thread") !=
        std::string::npos);
  CHECK(thread_table(rows).find("90 % of the bandwidth: no") != std::string::npos);
}

TEST_CASE("modelled GPUs: clocks that their peaks imply are those of their data sheets") {
  REQUIRE(find_gpu("NVIDIA A100-SXM4-80GB, sm_80") != nullptr);
  CHECK(find_gpu("NVIDIA A100-SXM4-80GB, sm_80")->clock() == doctest::Approx(1.41e9).epsilon(0.01));
  CHECK(find_gpu("NVIDIA GeForce RTX 4090")->clock() == doctest::Approx(2.52e9).epsilon(0.01));
  CHECK(find_gpu("Tesla T4")->clock() == doctest::Approx(1.59e9).epsilon(0.01));
  CHECK(find_gpu("a toaster") == nullptr);
}

TEST_CASE("modelled time: the largest of the limits, whole waves, and a launch") {
  const Gpu gpu{"x", 80, 1e12, 1e11, 10, 50};  // clock 1e9
  const Compiled half{0.5, 2};
  // 1e9 FLOPs at half of 1e12: 2 ms; 1e7 bytes at 1e11: 0.1 ms
  ModelTime t = model_time(gpu, 1e9, 1e7, nullptr, half);
  CHECK(t.seconds == doctest::Approx(2e-3 + 3e-6));
  CHECK(std::string(t.bound) == "compute");
  CHECK(t.waves == 0);
  t = model_time(gpu, 0, 1e9, nullptr, half);
  CHECK(t.seconds == doctest::Approx(1e-2 + 3e-6));
  CHECK(std::string(t.bound) == "memory");

  Counters counted;
  counted.bytes = 4e9;  // more than the algorithm's
  counted.blocks = 30;  // 20 fit: 1.5 waves take the time of 2
  t = model_time(gpu, 0, 1e9, &counted, half);
  CHECK(t.waves == 1.5);
  CHECK(t.seconds == doctest::Approx(4e-2 * 2 / 1.5 + 3e-6));
  counted.bytes = 0;
  counted.wavefronts = 1e9;  // 1e8 on each multiprocessor, one a clock
  t = model_time(gpu, 0, 0, &counted, {1, 0});
  CHECK(t.seconds == doctest::Approx(0.1 + 3e-6));
  CHECK(std::string(t.bound) == "shared memory");
}

TEST_CASE("modelled time: what the gate's table says of a kernel") {
  const std::string table =
      "# compiler V13\n"
      "file,kernel,arch,threads,registers,shared,blocks,stack,spills,local,generic,"
      "float_atomics,loop,ffma\n"
      "a.cu,conv<1>,80,256,32,0,4,0,0,0,0,0,100,80\n"
      "a.cu,conv<2>,80,256,32,0,6,0,0,0,0,0,100,90\n"
      "a.cu,conv<2>,90,256,32,0,8,0,0,0,0,0,100,91\n"
      "b.cu,add,80,256,32,0,5,0,0,0,0,0,,\n";
  CHECK(find_compiled(table, "conv<2>", 80).math_share == doctest::Approx(0.9));
  CHECK(find_compiled(table, "conv<2>", 90).blocks == 8);
  CHECK(find_compiled(table, "conv<3>", 80).math_share == doctest::Approx(0.8));  // its family
  CHECK(find_compiled(table, "add", 80).math_share == 1);  // no main loop of FFMAs
  CHECK(find_compiled(table, "add", 80).blocks == 5);
  CHECK(find_compiled(table, "mul", 80).blocks == 0);
}

TEST_CASE("modelled time: the committed table knows the kernels") {
  for (const Gpu& gpu : gpus()) {
    CAPTURE(gpu.name);
    CHECK(find_compiled("conv2d_direct<10, true>", gpu.arch).math_share > 0.8);
    CHECK(find_compiled("conv2d_direct<10, true>", gpu.arch).blocks >= 1);
  }
}

TEST_SUITE_END();
