// SPDX-License-Identifier: Apache-2.0
// Is each file named a JSON document, and nothing more?
#include <jansson.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++) {
        json_error_t error;
        json_t *json = json_load_file(argv[i], JSON_REJECT_DUPLICATES, &error);
        if (!json) {
            printf("%s:%d:%d: %s\n", argv[i], error.line, error.column, error.text);
            bad = 1;
        }
        json_decref(json);
    }
    return bad;
}
