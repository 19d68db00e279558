use envtest::{Options, check};

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'example.org/web:v1'}
";

#[test]
fn a_rollout_replaces_all_pods() {
    check(&Options::new(1), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        cluster.set_image("web", "example.org/web:v2").await?;
        cluster.rolled_out("web").await?;
        let images: Vec<_> = cluster.pods().iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
        assert_eq!(images, ["example.org/web:v2"; 3]);
        Err(envtest::Failure::Wrong("show me".into()))
    });
}
