"""What the tests share: made-up data, small networks, and programs that tests run in processes of their own."""
