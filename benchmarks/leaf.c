/* What the exec storm runs: nothing. */
int main(void)
{
	return 0;
}
