import time, requests
from tests.integration.s3.conftest import client, SECRET


def test_x(new_lake, tmp_path, endpoint):
    lake = new_lake(tmp_path, "lake-b")
    w = lake.workshop
    for s in (
        {"SLIPWAY_WAREHOUSE": "s3://nobody/warehouse"},
        {"SLIPWAY_LANDING": "s3://nobody/landing"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        {"SLIPWAY_LANDING": "gs://nobody/landing"},
        {"AWS_REGION": ""},
    ):
        t = time.time()
        d = w.slipway("run", **s)
        print("=====", s, d.code, d.out[-1500:], d.err[-1500:], time.time() - t, flush=True)
    import socket

    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(50)
    t = time.time()
    d = w.slipway("run", AWS_ENDPOINT_URL=f"http://127.0.0.1:{s.getsockname()[1]}")
    print("===== hole", d.code, d.out[-1500:], d.err[-1500:], time.time() - t, flush=True)
    iam = client("iam", endpoint)
    iam.create_user(UserName="u")
    k = iam.create_access_key(UserName="u")["AccessKey"]
    iam.put_user_policy(
        UserName="u",
        PolicyName="p",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    )
    requests.post(endpoint + "/moto-api/reset-auth", data="0")
    good = {"AWS_ACCESS_KEY_ID": k["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": k["SecretAccessKey"]}
    for s in ({}, {**good, "AWS_SECRET_ACCESS_KEY": SECRET}, good):
        t = time.time()
        d = w.slipway("run", **s)
        print("=====", s, d.code, d.out[-1500:], d.err[-1500:], time.time() - t, flush=True)
    requests.post(endpoint + "/moto-api/reset-auth", data="inf")
