/* A folder of its own for a test, gone after. Aborts the test program when it cannot be made. */
#ifndef SELVEDGE_TEST_TEMPDIR_H
#define SELVEDGE_TEST_TEMPDIR_H

char *tempdir_new(void); /* to be given to tempdir_free() */
void tempdir_free(char *path);
unsigned tempdir_num_files(const char *path); /* without hidden ones */

#endif
