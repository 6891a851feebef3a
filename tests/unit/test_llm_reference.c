// SPDX-License-Identifier: Apache-2.0
// Question: does the CPU reference of llm_decode compute GPT-2, and do weights from a file become the same
// model as those from a seed? Method: logits of a small model against numbers from another formulation in
// another language (bench/apps/llm_golden.py); properties that any such model has; files written here in the
// files' layout, whole and wrong in one place each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/apps/llm_reference.h"

static const struct llm_shape micro = {"micro", 2, 64, 2, 128, 32};
enum { VOCAB = 128, SEED = 5, PROMPT = 9 };

static struct llm_reference *open_reference(const struct llm_weights *weights, uint32_t sequences)
{
    struct llm_reference *reference;
    assert_int_equal(llm_reference_open(weights, sequences, micro.context, &reference), 0);
    return reference;
}

static struct llm_weights random_weights(void)
{
    struct llm_weights weights;
    struct st_error error;
    assert_int_equal(llm_weights_open(&micro, NULL, SEED, &weights, &error), 0);
    return weights;
}

static void agrees_with_another_formulation(void **state)
{
    (void)state;
    static const int32_t prompt[PROMPT] = {24, 105, 80, 37, 120, 103, 27, 83, 80};
    static const struct {
        int row;
        double at_0, at_17, at_127, square_sum;
    } expected[] = {
        {0, -2.948959341660, 3.782765681833, -3.063930841046, 604.1248729277},
        {4, -3.746465615150, 3.731701020438, -3.023932951357, 481.9673501218},
        {8, 2.555737672436, 2.523339319464, -0.308242638086, 517.4688572420},
    };
    int32_t tokens[PROMPT];
    double logits[VOCAB];
    struct llm_weights weights = random_weights();
    struct llm_reference *reference = open_reference(&weights, 1);
    llm_prompt(&micro, SEED, 0, PROMPT, tokens);
    assert_memory_equal(tokens, prompt, sizeof prompt);
    size_t next = 0;
    for (int i = 0; i < PROMPT; i++) {
        llm_reference_step(reference, 0, tokens[i], logits);
        if (i != expected[next].row)
            continue;
        double square_sum = 0;
        for (int j = 0; j < VOCAB; j++)
            square_sum += logits[j] * logits[j];
        assert_true(fabs(logits[0] - expected[next].at_0) < 1e-9);
        assert_true(fabs(logits[17] - expected[next].at_17) < 1e-9);
        assert_true(fabs(logits[127] - expected[next].at_127) < 1e-9);
        assert_true(fabs(square_sum - expected[next].square_sum) < 1e-6);
        next++;
    }
    assert_int_equal(next, 3);
    llm_reference_close(reference);
}

// Sequences do not see each other, and what comes before a token matters while what comes after does not.
static void sequences_and_time_are_kept_apart(void **state)
{
    (void)state;
    struct llm_weights weights = random_weights();
    struct llm_reference *pair = open_reference(&weights, 2), *single = open_reference(&weights, 1);
    double a[VOCAB], b[VOCAB], alone[VOCAB];
    for (int32_t i = 0; i < 5; i++) {
        llm_reference_step(pair, 0, 10 + i, a);
        llm_reference_step(pair, 1, 90 - i, b);
        llm_reference_step(single, 0, 10 + i, alone);
        assert_memory_equal(a, alone, sizeof a);
    }
    llm_reference_step(pair, 0, 7, a);
    llm_reference_step(pair, 1, 7, b);
    assert_memory_not_equal(a, b, sizeof a); // the same token at the same place, after another past
    llm_reference_close(pair);
    llm_reference_close(single);
}

static void tensor_list_is_whole(void **state)
{
    (void)state;
    // Counted by hand from the architecture: 12 width^2 + 13 width a layer, the two tables, the last norm.
    for (const struct llm_shape *shape = llm_shapes; shape->name; shape++) {
        uint64_t width = shape->width, total = 0, end = 0;
        uint32_t group = 0;
        assert_int_equal(width, shape->heads * LLM_HEAD_FLOATS);
        for (uint32_t i = 0; i < llm_tensor_count(shape); i++) {
            struct llm_tensor tensor;
            llm_tensor_at(shape, i, &tensor);
            if (tensor.group != group) {
                assert_int_equal(end, llm_group_floats(shape, group));
                assert_int_equal(tensor.group, ++group);
                end = 0;
            }
            assert_int_equal(tensor.offset_floats, end); // contiguous
            assert_int_equal(tensor.offset_floats % 64, 0);
            assert_int_equal(tensor.floats, (uint64_t)tensor.rows * tensor.columns);
            end += tensor.floats;
            total += tensor.floats;
        }
        assert_int_equal(end, llm_group_floats(shape, group));
        assert_int_equal(group + 1, llm_group_count(shape));
        assert_int_equal(total, llm_parameters(shape));
        assert_int_equal(total, shape->layers * (12 * width * width + 13 * width) +
                                    (shape->vocab + shape->context) * width + 2 * width);
    }
    assert_int_equal(llm_parameters(llm_shape_find("124m")), 124439808);
    assert_int_equal(llm_parameters(llm_shape_find("xl")), 1557611200);
    assert_null(llm_shape_find("tin"));
}

static void random_values_are_spread(void **state)
{
    (void)state;
    struct llm_weights one = random_weights(), two = one;
    struct llm_tensor tensor;
    two.seed = SEED + 1;
    for (uint32_t i = 0; i < llm_tensor_count(&micro); i++) {
        llm_tensor_at(&micro, i, &tensor);
        float *a = malloc(tensor.floats * sizeof *a), *again = malloc(tensor.floats * sizeof *a),
              *b = malloc(tensor.floats * sizeof *a);
        assert_int_equal(llm_weights_fill(&one, &tensor, a), 0);
        assert_int_equal(llm_weights_fill(&one, &tensor, again), 0);
        assert_int_equal(llm_weights_fill(&two, &tensor, b), 0);
        assert_memory_equal(a, again, tensor.floats * sizeof *a);
        assert_memory_not_equal(a, b, tensor.floats * sizeof *a);
        double mean = 0;
        uint64_t equal = 0;
        for (uint64_t j = 0; j < tensor.floats; j++) {
            assert_true(isfinite(a[j]) && fabsf(a[j]) < 4);
            mean += a[j] / (double)tensor.floats;
            equal += j && a[j] == a[j - 1];
        }
        bool is_gain = strstr(tensor.name, "ln_") && strstr(tensor.name, ".weight");
        assert_true(fabs(mean - (is_gain ? 1 : 0)) < 0.1);
        assert_true(equal <= 1 + tensor.floats / 1000);
        free(a);
        free(again);
        free(b);
    }
}

// What to do wrong when a file is written.
struct fault {
    const char *tensor; // its name, or NULL: nothing
    enum { LEAVE_OUT, TURN, ADD_RANK, OTHER_TYPE } what;
    const char *reason;
};

// A file of the random weights in the files' layout: matrices of the layers are [inputs][outputs].
static void write_file(char *path, const struct llm_weights *weights, const char *prefix, struct fault fault)
{
    static char header[65536];
    size_t size = (size_t)sprintf(
        header,
        "{\"__metadata__\":{\"format\":\"pt\"},\"%sh.0.attn.bias\":{\"dtype\":\"U8\",\"shape\":[4],"
        "\"data_offsets\":[0,4]}",
        prefix);
    uint64_t end = 4; // of the tensor that the model does not have
    struct llm_tensor tensor;
    for (uint32_t i = 0; i < llm_tensor_count(&micro); i++) {
        llm_tensor_at(&micro, i, &tensor);
        bool is_faulty = fault.tensor && strcmp(fault.tensor, tensor.name) == 0;
        bool is_turned = tensor.is_turned != (is_faulty && fault.what == TURN);
        if (is_faulty && fault.what == LEAVE_OUT)
            tensor.name[0] = 'x';
        char shape[64];
        if (tensor.is_vector)
            sprintf(shape, "%u%s", tensor.columns, is_faulty && fault.what == ADD_RANK ? ",1" : "");
        else
            sprintf(shape, "%u,%u", is_turned ? tensor.columns : tensor.rows,
                    is_turned ? tensor.rows : tensor.columns);
        size += (size_t)sprintf(
            header + size, ",\"%s%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}", prefix,
            tensor.name, is_faulty && fault.what == OTHER_TYPE ? "I32" : "F32", shape,
            (unsigned long long)end, (unsigned long long)(end + tensor.floats * 4));
        end += tensor.floats * 4;
    }
    header[size++] = '}';
    strcpy(path, "/tmp/test_llm_reference.XXXXXX");
    FILE *file = fdopen(mkstemp(path), "w");
    assert_non_null(file);
    uint64_t length = size;
    fwrite(&length, sizeof length, 1, file);
    fwrite(header, size, 1, file);
    fwrite("mask", 4, 1, file);
    for (uint32_t i = 0; i < llm_tensor_count(&micro); i++) {
        llm_tensor_at(&micro, i, &tensor);
        float *values = malloc(tensor.floats * sizeof *values);
        assert_int_equal(llm_weights_fill(weights, &tensor, values), 0);
        for (uint64_t j = 0; j < tensor.floats; j++) {
            uint64_t column = j / tensor.rows,
                     row = j % tensor.rows; // of value j when the file has it turned
            fwrite(&values[tensor.is_turned ? row * tensor.columns + column : j], sizeof *values, 1, file);
        }
        free(values);
    }
    assert_int_equal(fclose(file), 0);
}

static void a_file_gives_the_same_model(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"", "transformer."};
    for (int p = 0; p < 2; p++) {
        struct llm_weights from_seed = random_weights(), from_file;
        struct st_error error;
        struct llm_tensor tensor;
        char path[64];
        write_file(path, &from_seed, prefixes[p], (struct fault){0});
        if (llm_weights_open(&micro, path, 0, &from_file, &error))
            fail_msg("%s", error.text);
        for (uint32_t i = 0; i < llm_tensor_count(&micro); i++) {
            llm_tensor_at(&micro, i, &tensor);
            float *a = malloc(tensor.floats * sizeof *a), *b = calloc(tensor.floats, sizeof *b);
            assert_int_equal(llm_weights_fill(&from_seed, &tensor, a), 0);
            assert_int_equal(llm_weights_fill(&from_file, &tensor, b), 0);
            assert_memory_equal(a, b, tensor.floats * sizeof *a);
            free(a);
            free(b);
        }
        // Cut after opening: reading says so, and so does opening the model.
        assert_int_equal(truncate(path, 20000), 0);
        struct llm_reference *reference;
        assert_int_equal(llm_reference_open(&from_file, 1, 4, &reference), -EIO);
        llm_weights_close(&from_file);
        unlink(path);
    }
}

static void a_wrong_file_is_refused(void **state)
{
    (void)state;
    static const struct fault faults[] = {
        {"wte.weight", LEAVE_OUT, "no tensor wte.weight"},
        {"wte.weight", TURN, "wte.weight must have the shape [128, 64]"},
        {"ln_f.bias", LEAVE_OUT, "no tensor ln_f.bias"},
        {"h.1.attn.c_attn.weight", TURN, "h.1.attn.c_attn.weight must have the shape [64, 192]"},
        {"h.1.mlp.c_proj.weight", TURN, "must have the shape [256, 64]"},
        {"h.0.ln_1.bias", ADD_RANK, "h.0.ln_1.bias must have the shape [64]"},
        {"h.0.attn.c_attn.bias", OTHER_TYPE, "neither F32"},
        {"h.1.mlp.c_fc.bias", LEAVE_OUT, "no tensor h.1.mlp.c_fc.bias"},
    };
    struct llm_weights from_seed = random_weights(), from_file;
    struct st_error error;
    char path[64];
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        write_file(path, &from_seed, "", faults[i]);
        assert_int_equal(llm_weights_open(&micro, path, 0, &from_file, &error), -EINVAL);
        if (!strstr(error.text, faults[i].reason))
            fail_msg("%s: %s", faults[i].tensor, error.text);
        unlink(path);
    }
    // The right file for another model.
    write_file(path, &from_seed, "", (struct fault){0});
    assert_int_equal(llm_weights_open(llm_shape_find("tiny"), path, 0, &from_file, &error), -EINVAL);
    unlink(path);
    assert_int_equal(llm_weights_open(&micro, path, 0, &from_file, &error), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_another_formulation),
        cmocka_unit_test(sequences_and_time_are_kept_apart),
        cmocka_unit_test(tensor_list_is_whole),
        cmocka_unit_test(random_values_are_spread),
        cmocka_unit_test(a_file_gives_the_same_model),
        cmocka_unit_test(a_wrong_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
